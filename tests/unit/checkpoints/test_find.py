import json
import shutil

import numpy as np
import pytest

from deployment.partitions import is_part, partitioning_getter
from slim_train.checkpoints.best import BestCheckpoint
from slim_train.checkpoints.find import is_complete, latest_checkpoint, repair_state, resolve_checkpoint, step_of
from slim_train.checkpoints.restore import check_resume, plan_restore
from slim_train.checkpoints.training_folder import set_aside
from slim_train.errors import UsageError
from slim_train.nets import factory as nets
from slim_train.tf_compat import slim, tf

SHAPES = {"net/conv/weights": [3, 3], "net/conv/biases": [3], "net/logits/weights": [3, 5], "net/logits/biases": [5]}


def _variables(shapes):
    return [
        tf.get_variable(name, shape, initializer=tf.constant_initializer(index))
        for index, (name, shape) in enumerate(shapes.items())
    ]


def _save(folder, shapes=SHAPES, steps=(7,)):
    """Checkpoints model.ckpt-<step> in ``folder``; the prefix of the last."""
    folder.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        _variables(shapes)
        step = tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(max_to_keep=None)
        for number in steps:
            session.run(step.assign(number))
            prefix = saver.save(session, str(folder / "model.ckpt"), global_step=number)
    return prefix


def _cut_short(prefix):
    path = next(iter(prefix.parent.glob(f"{prefix.name}.data-*")))
    path.unlink()


def test_the_latest_checkpoint_is_found_after_the_folder_was_moved(tmp_path):
    _save(tmp_path / "old", steps=(1, 2))
    (tmp_path / "old").rename(tmp_path / "new")
    assert latest_checkpoint(tmp_path / "new") == str(tmp_path / "new" / "model.ckpt-2")


def test_repair_points_a_moved_folder_at_its_own_checkpoint(tmp_path):
    _save(tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    tf.train.update_checkpoint_state(str(tmp_path / "new"), str(tmp_path / "old" / "model.ckpt-7"))
    repair_state(tmp_path / "new")
    assert tf.train.latest_checkpoint(str(tmp_path / "new")) == str(tmp_path / "new" / "model.ckpt-7")


def test_a_training_folder_that_lost_its_state_file_is_not_empty(tmp_path):
    prefix = _save(tmp_path)
    (tmp_path / "checkpoint").unlink()
    assert latest_checkpoint(tmp_path) == prefix
    assert repair_state(tmp_path) == prefix == tf.train.latest_checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"net/conv/biases": [4]}, r"holds net/conv/biases in shape \[3\], not \[4\]"),
        ({"net/conv/biases/Momentum": [3]}, "does not hold net/conv/biases/Momentum"),
    ],
)
def test_a_run_with_other_variables_cannot_resume(tmp_path, shapes, words):
    prefix = _save(tmp_path)
    with tf.Graph().as_default(), pytest.raises(UsageError, match=f"Cannot resume: .*{words}.*--restart"):
        check_resume(prefix, _variables({**SHAPES, **shapes}))


def test_what_was_changed_since_is_said_where_it_is_known(tmp_path):
    prefix = _save(tmp_path)
    with tf.Graph().as_default(), pytest.raises(UsageError, match=r"not \[4\]\. It was Adam\. Use .*config\.yaml"):
        check_resume(prefix, _variables({**SHAPES, "net/conv/biases": [4]}), lambda: "It was Adam.")


def test_a_folder_without_checkpoints_has_no_latest(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "nowhere") is None


def test_a_checkpoint_cut_short_is_passed_over(tmp_path):
    _save(tmp_path, steps=(1, 2))
    _cut_short(tmp_path / "model.ckpt-2")
    assert not is_complete(str(tmp_path / "model.ckpt-2"))
    assert latest_checkpoint(tmp_path) == str(tmp_path / "model.ckpt-1")


def test_repair_makes_tensorflow_itself_see_the_last_good_checkpoint(tmp_path):
    _save(tmp_path, steps=(1, 2))
    _cut_short(tmp_path / "model.ckpt-2")
    assert repair_state(tmp_path) == str(tmp_path / "model.ckpt-1")
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-1")


def test_repair_forgets_a_folder_whose_checkpoints_are_all_broken(tmp_path):
    _save(tmp_path)
    _cut_short(tmp_path / "model.ckpt-7")
    assert repair_state(tmp_path) is None
    assert tf.train.get_checkpoint_state(str(tmp_path)) is None


def test_an_index_file_with_other_bytes_is_not_a_checkpoint(tmp_path):
    prefix = _save(tmp_path)
    (tmp_path / "model.ckpt-7.index").write_bytes(b"not a table")
    assert not is_complete(prefix)


@pytest.mark.parametrize("suffix", ["", ".index", ".meta", ".data-00000-of-00001"])
def test_any_file_of_a_checkpoint_stands_for_it(tmp_path, suffix):
    prefix = _save(tmp_path)
    assert resolve_checkpoint(prefix + suffix) == prefix


def test_a_folder_stands_for_its_only_checkpoint_without_a_state_file(tmp_path):
    prefix = _save(tmp_path)
    (tmp_path / "checkpoint").unlink()
    assert resolve_checkpoint(str(tmp_path)) == prefix


def test_a_path_that_does_not_exist_is_named_with_what_lies_beside_it(tmp_path):
    _save(tmp_path)
    with pytest.raises(UsageError, match=r"model.ckpt-8 does not exist; beside it: model.ckpt-7"):
        resolve_checkpoint(str(tmp_path / "model.ckpt-8"))


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(UsageError, match=r"cat\.jpg is not a complete TensorFlow checkpoint"):
        resolve_checkpoint(str(tmp_path / "cat.jpg"))


def test_the_step_is_read_from_the_checkpoint(tmp_path):
    assert step_of(_save(tmp_path, steps=(7,))) == 7


def test_a_plan_restores_all_but_the_excluded_scopes(tmp_path):
    prefix = _save(tmp_path)
    with tf.Graph().as_default(), tf.Session() as session:
        variables = _variables({**SHAPES, "net/logits/weights": [3, 7], "net/logits/biases": [7]})
        for variable in variables:
            session.run(variable.assign(tf.zeros_like(variable)))
        plan = plan_restore(prefix, variables, exclude_scopes=["net/logits"])
        session.run([variable.initializer for variable in variables])
        session.run(variables[1].assign([9.0, 9.0, 9.0]))
        plan.init_fn()(None, session)
        assert set(plan.restored) == {"net/conv/weights", "net/conv/biases"}
        assert plan.excluded == ("net/logits/weights", "net/logits/biases")
        np.testing.assert_array_equal(session.run(variables[1]), [1.0, 1.0, 1.0])


def test_a_shape_mismatch_names_both_shapes_and_the_flag_that_cures_it(tmp_path):
    prefix = _save(tmp_path)
    with tf.Graph().as_default():
        variables = _variables({**SHAPES, "net/logits/weights": [3, 7], "net/logits/biases": [7]})
        with pytest.raises(UsageError) as caught:
            plan_restore(prefix, variables, head_scopes=["net/logits"])
    for words in ("net/logits/weights", "[3, 7]", "[3, 5]", "--checkpoint_exclude_scopes=net/logits "):
        assert words in str(caught.value)


def test_variables_missing_from_the_checkpoint_stop_unless_they_may_be_missing(tmp_path):
    prefix = _save(tmp_path)
    with tf.Graph().as_default():
        variables = _variables({**SHAPES, "net/aux/weights": [2]})
        with pytest.raises(UsageError, match=r"lacks 1 of the net's 5 variables, first net/aux/weights"):
            plan_restore(prefix, variables)
        plan = plan_restore(prefix, variables, ignore_missing=True)
    assert plan.missing == ("net/aux/weights",)
    assert len(plan.restored) == 4


def test_a_checkpoint_of_another_net_is_said_to_be_one(tmp_path):
    prefix = _save(tmp_path)
    with tf.Graph().as_default(), pytest.raises(UsageError, match="it holds net: check --model_name") as told:
        plan_restore(prefix, _variables({f"other/{number}/weights": [2] for number in range(50)}))
    assert len(str(told.value).replace(prefix, "")) < 200


def test_nothing_left_to_restore_is_an_error(tmp_path):
    prefix = _save(tmp_path)
    with tf.Graph().as_default(), pytest.raises(UsageError, match="Nothing is left to restore"):
        plan_restore(prefix, _variables(SHAPES), exclude_scopes=["net"])


def _in_parts(min_bytes=1):
    return tf.variable_scope("", custom_getter=partitioning_getter(min_bytes, 2))


def test_parts_of_a_variable_are_restored_and_excluded_by_its_name(tmp_path):
    prefix = _save(tmp_path)
    with tf.Graph().as_default(), _in_parts(), tf.Session() as session:
        _variables(SHAPES)
        variables = tf.global_variables()
        plan = plan_restore(prefix, variables, exclude_scopes=["net/conv/weights", "net/logits"])
        assert plan.excluded == ("net/conv/weights", "net/logits/weights", "net/logits/biases")
        assert "1 variables restored" in plan.describe() and "3 excluded" in plan.describe()
        session.run(tf.variables_initializer(variables))
        session.run([variable.assign(tf.zeros_like(variable)) for variable in variables])
        plan.init_fn()(None, session)
        values = {variable.op.name: session.run(variable).tolist() for variable in variables}
    assert (values["net/conv/biases/part_0"], values["net/conv/biases/part_1"]) == ([1, 1], [1])
    assert values["net/conv/weights/part_0"] == [[0, 0, 0], [0, 0, 0]]


def test_errors_about_parts_speak_of_the_whole_variable(tmp_path):
    prefix = _save(tmp_path)
    with tf.Graph().as_default(), _in_parts():
        _variables({**SHAPES, "net/logits/weights": [3, 7]})
        with pytest.raises(UsageError, match=r"^net/logits/weights has shape \[3, 7\] in the net and \[3, 5\] in"):
            plan_restore(prefix, tf.global_variables())
    with tf.Graph().as_default(), _in_parts():
        _variables({**SHAPES, "net/aux/weights": [2]})
        with pytest.raises(UsageError, match=r"lacks 1 of the net's 5 variables, first net/aux/weights\."):
            plan_restore(prefix, tf.global_variables())


def test_a_run_goes_on_with_its_variables_in_parts_unless_their_shape_is_another(tmp_path):
    prefix = _save(tmp_path)
    with tf.Graph().as_default(), _in_parts():
        _variables(SHAPES)
        check_resume(prefix, tf.global_variables())
    with tf.Graph().as_default(), _in_parts():
        _variables({**SHAPES, "net/logits/weights": [4, 5]})
        with pytest.raises(UsageError, match=r"holds net/logits/weights in shape \[3, 5\], not \[4, 5\]"):
            check_resume(prefix, tf.global_variables())


def test_a_released_checkpoint_is_restored_into_parts(shared_data):
    prefix = str(shared_data / "checkpoints/mobilenet_v1_0.25_224/mobilenet_v1_0.25_224.ckpt")
    stored = tf.train.load_checkpoint(prefix)
    with tf.Graph().as_default(), tf.Session() as session:
        with _in_parts(min_bytes=10_000):
            nets.get_network_fn("mobilenet_v1_025", 1001)(tf.zeros([1, 224, 224, 3]))
        plan = plan_restore(prefix, slim.get_model_variables())
        plan.init_fn()(None, session)
        assert sum(map(is_part, slim.get_model_variables())) > 10
        for name, parts in plan.restored.items():
            values = session.run(parts)
            value = values[0] if len(parts) == 1 else np.concatenate(values, axis=_cut_axis(values, stored, name))
            np.testing.assert_array_equal(value, stored.get_tensor(name))


def _cut_axis(values, stored, name):
    [axis] = [axis for axis, length in enumerate(stored.get_tensor(name).shape) if values[0].shape[axis] != length]
    return axis


def test_the_best_checkpoint_is_kept_and_a_worse_one_does_not_replace_it(tmp_path):
    _save(tmp_path, steps=(1, 2))
    best = BestCheckpoint(tmp_path)
    assert best.path is None
    assert best.offer(str(tmp_path / "model.ckpt-1"), {"accuracy": 0.6}, 1)
    assert not best.offer(str(tmp_path / "model.ckpt-2"), {"accuracy": 0.5}, 2)
    assert step_of(best.path) == 1


def test_a_resumed_run_knows_the_best_value_of_the_run_before(tmp_path):
    _save(tmp_path, steps=(1, 2))
    BestCheckpoint(tmp_path).offer(str(tmp_path / "model.ckpt-1"), {"accuracy": 0.6}, 1)
    resumed = BestCheckpoint(tmp_path)
    assert (resumed.value, resumed.step) == (0.6, 1)
    assert not resumed.offer(str(tmp_path / "model.ckpt-2"), {"accuracy": 0.55}, 2)


def test_a_better_checkpoint_replaces_the_best_and_its_files(tmp_path):
    _save(tmp_path, steps=(1, 2))
    best = BestCheckpoint(tmp_path)
    best.offer(str(tmp_path / "model.ckpt-1"), {"accuracy": 0.6}, 1)
    best.offer(str(tmp_path / "model.ckpt-2"), {"accuracy": 0.7}, 2)
    assert not list(best.folder.glob("model.ckpt-1.*"))
    record = {"metric": "accuracy", "value": 0.7, "step": 2, "checkpoint": "model.ckpt-2"}
    assert json.loads((best.folder / "best.json").read_text()) == record


def test_a_kill_before_the_value_is_written_leaves_the_old_best_the_best(tmp_path):
    _save(tmp_path, steps=(1, 2))
    BestCheckpoint(tmp_path).offer(str(tmp_path / "model.ckpt-1"), {"accuracy": 0.6}, 1)
    for file in tmp_path.glob("model.ckpt-2.*"):
        shutil.copy(file, tmp_path / "best")
    best = BestCheckpoint(tmp_path)
    assert (best.value, step_of(best.path)) == (0.6, 1)


def test_a_broken_best_value_is_named(tmp_path):
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "best.json").write_text("")
    with pytest.raises(UsageError, match="best.json is broken"):
        BestCheckpoint(tmp_path)


def test_setting_aside_moves_everything_old_and_loses_nothing(tmp_path):
    _save(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    (tmp_path / "notes.txt").write_text("mine\n")
    aside = set_aside(tmp_path)
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(aside) == str(aside / "model.ckpt-7")
    assert (aside / "metrics.jsonl").exists()
    assert (tmp_path / "notes.txt").exists()
    assert set_aside(tmp_path) is None


def test_setting_aside_takes_the_next_free_name(tmp_path):
    _save(tmp_path)
    (tmp_path / "previous-1").mkdir()
    assert set_aside(tmp_path) == tmp_path / "previous-2"
