"""What is restored from a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from deployment.partitions import is_part, partitioning_getter
from slim_train.checkpoints.restore import check_resume, plan_restore
from slim_train.errors import UsageError
from slim_train.nets import factory as nets
from slim_train.tf_compat import slim, tf

SHAPES = {"net/conv/weights": [3, 3], "net/conv/biases": [3], "net/logits/weights": [3, 5], "net/logits/biases": [5]}


def _in_parts(min_bytes=1):
    return tf.variable_scope("", custom_getter=partitioning_getter(min_bytes, 2))


def _cut_axis(values, stored, name):
    [axis] = [axis for axis, length in enumerate(stored.get_tensor(name).shape) if values[0].shape[axis] != length]
    return axis


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"net/conv/biases": [4]}, r"holds net/conv/biases in shape \[3\], not \[4\]"),
        ({"net/conv/biases/Momentum": [3]}, "does not hold net/conv/biases/Momentum"),
    ],
)
def test_a_run_with_other_variables_cannot_resume(tmp_path, shapes, words, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default(), pytest.raises(UsageError, match=f"Cannot resume: .*{words}.*--restart"):
        check_resume(prefix, make_variables({**SHAPES, **shapes}))


def test_what_was_changed_since_is_said_where_it_is_known(tmp_path, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default(), pytest.raises(UsageError, match=r"not \[4\]\. It was Adam\. Use .*config\.yaml"):
        check_resume(prefix, make_variables({**SHAPES, "net/conv/biases": [4]}), lambda: "It was Adam.")


def test_a_plan_restores_all_but_the_excluded_scopes(tmp_path, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default(), tf.Session() as session:
        variables = make_variables({**SHAPES, "net/logits/weights": [3, 7], "net/logits/biases": [7]})
        for variable in variables:
            session.run(variable.assign(tf.zeros_like(variable)))
        plan = plan_restore(prefix, variables, exclude_scopes=["net/logits"])
        session.run([variable.initializer for variable in variables])
        session.run(variables[1].assign([9.0, 9.0, 9.0]))
        plan.init_fn()(None, session)
        assert set(plan.restored) == {"net/conv/weights", "net/conv/biases"}
        assert plan.excluded == ("net/logits/weights", "net/logits/biases")
        np.testing.assert_array_equal(session.run(variables[1]), [1.0, 1.0, 1.0])


def test_a_shape_mismatch_names_both_shapes_and_the_flag_that_cures_it(tmp_path, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default():
        variables = make_variables({**SHAPES, "net/logits/weights": [3, 7], "net/logits/biases": [7]})
        with pytest.raises(UsageError) as caught:
            plan_restore(prefix, variables, head_scopes=["net/logits"])
    for words in ("net/logits/weights", "[3, 7]", "[3, 5]", "--checkpoint_exclude_scopes=net/logits "):
        assert words in str(caught.value)


def test_an_auxiliary_head_that_is_missing_is_excluded_as_a_whole(tmp_path, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default():
        variables = make_variables({**SHAPES, "net/AuxLogits/a/weights": [2], "net/AuxLogits/b/weights": [2]})
        with pytest.raises(UsageError, match=r"--checkpoint_exclude_scopes=net/AuxLogits or --ignore_missing_vars"):
            plan_restore(prefix, variables)


def test_variables_missing_from_the_checkpoint_stop_unless_they_may_be_missing(tmp_path, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default():
        variables = make_variables({**SHAPES, "net/aux/weights": [2]})
        with pytest.raises(UsageError, match=r"lacks 1 of the net's 5 variables, first net/aux/weights"):
            plan_restore(prefix, variables)
        plan = plan_restore(prefix, variables, ignore_missing=True)
    assert plan.missing == ("net/aux/weights",)
    assert len(plan.restored) == 4


def test_a_checkpoint_of_another_net_is_said_to_be_one(tmp_path, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default(), pytest.raises(UsageError, match="it holds net: check --model_name") as told:
        plan_restore(prefix, make_variables({f"other/{number}/weights": [2] for number in range(50)}))
    assert len(str(told.value).replace(prefix, "")) < 200


def test_nothing_left_to_restore_is_an_error(tmp_path, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default(), pytest.raises(UsageError, match="Nothing is left to restore"):
        plan_restore(prefix, make_variables(SHAPES), exclude_scopes=["net"])


def test_parts_of_a_variable_are_restored_and_excluded_by_its_name(tmp_path, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default(), _in_parts(), tf.Session() as session:
        make_variables(SHAPES)
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


def test_errors_about_parts_speak_of_the_whole_variable(tmp_path, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default(), _in_parts():
        make_variables({**SHAPES, "net/logits/weights": [3, 7]})
        with pytest.raises(UsageError, match=r"^net/logits/weights has shape \[3, 7\] in the net and \[3, 5\] in"):
            plan_restore(prefix, tf.global_variables())
    with tf.Graph().as_default(), _in_parts():
        make_variables({**SHAPES, "net/aux/weights": [2]})
        with pytest.raises(UsageError, match=r"lacks 1 of the net's 5 variables, first net/aux/weights\."):
            plan_restore(prefix, tf.global_variables())


def test_a_run_goes_on_with_its_variables_in_parts_unless_their_shape_is_another(tmp_path, save, make_variables):
    prefix = save(tmp_path)
    with tf.Graph().as_default(), _in_parts():
        make_variables(SHAPES)
        check_resume(prefix, tf.global_variables())
    with tf.Graph().as_default(), _in_parts():
        make_variables({**SHAPES, "net/logits/weights": [4, 5]})
        with pytest.raises(UsageError, match=r"holds net/logits/weights in shape \[3, 5\], not \[4, 5\]"):
            check_resume(prefix, tf.global_variables())


@pytest.mark.slow
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
