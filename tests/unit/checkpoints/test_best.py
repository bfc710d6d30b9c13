"""The best checkpoint of a training folder."""

from __future__ import annotations

import json
import shutil

import pytest

from datasets.storage import copy_folder, path_of
from slim_train.checkpoints.best import BestCheckpoint
from slim_train.checkpoints.find import step_of
from slim_train.errors import UsageError
from slim_train.tf_compat import tf


def test_the_best_checkpoint_is_kept_and_a_worse_one_does_not_replace_it(tmp_path, save):
    save(tmp_path, steps=(1, 2))
    best = BestCheckpoint(tmp_path)
    assert best.path is None
    assert best.offer(str(tmp_path / "model.ckpt-1"), {"accuracy": 0.6}, 1)
    assert not best.offer(str(tmp_path / "model.ckpt-2"), {"accuracy": 0.5}, 2)
    assert step_of(best.path) == 1


def test_a_resumed_run_knows_the_best_value_of_the_run_before(tmp_path, save):
    save(tmp_path, steps=(1, 2))
    BestCheckpoint(tmp_path).offer(str(tmp_path / "model.ckpt-1"), {"accuracy": 0.6}, 1)
    resumed = BestCheckpoint(tmp_path)
    assert (resumed.value, resumed.step) == (0.6, 1)
    assert not resumed.offer(str(tmp_path / "model.ckpt-2"), {"accuracy": 0.55}, 2)


def test_a_better_checkpoint_replaces_the_best_and_its_files(tmp_path, save):
    save(tmp_path, steps=(1, 2))
    best = BestCheckpoint(tmp_path)
    best.offer(str(tmp_path / "model.ckpt-1"), {"accuracy": 0.6}, 1)
    best.offer(str(tmp_path / "model.ckpt-2"), {"accuracy": 0.7}, 2)
    assert not list(best.folder.glob("model.ckpt-1.*"))
    record = {"metric": "accuracy", "value": 0.7, "step": 2, "checkpoint": "model.ckpt-2"}
    assert json.loads((best.folder / "best.json").read_text()) == record


def test_a_kill_before_the_value_is_written_leaves_the_old_best_the_best(tmp_path, save):
    save(tmp_path, steps=(1, 2))
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


def test_a_checkpoint_that_is_deleted_meanwhile_does_not_cost_the_best(tmp_path, save):
    save(tmp_path, steps=(1,))
    best = BestCheckpoint(tmp_path)
    best.offer(str(tmp_path / "model.ckpt-1"), {"accuracy": 0.6}, 1)
    assert not best.offer(str(tmp_path / "model.ckpt-2"), {"accuracy": 0.9}, 2)
    assert (best.value, step_of(best.path)) == (0.6, 1)
    assert (BestCheckpoint(tmp_path).value, BestCheckpoint(tmp_path).step) == (0.6, 1)


def test_checkpoints_judged_on_another_split_are_not_compared(tmp_path, save):
    save(tmp_path, steps=(1,))
    BestCheckpoint(tmp_path, "validation").offer(str(tmp_path / "model.ckpt-1"), {"accuracy": 0.6}, 1)
    assert BestCheckpoint(tmp_path).step == 1
    with pytest.raises(UsageError, match="judged on the split validation, and not on train"):
        BestCheckpoint(tmp_path, "train")


def test_a_checkpoint_of_a_single_file_is_kept(tmp_path):
    """As TensorFlow 1.0 wrote them."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("weights", [3])
        session.run(tf.global_variables_initializer())
        prefix = tf.train.Saver(write_version=tf.train.SaverDef.V1).save(session, str(tmp_path / "model.ckpt-4"))
    best = BestCheckpoint(tmp_path)
    assert best.offer(prefix, {"accuracy": 0.6}, 4)
    assert tf.train.load_checkpoint(best.path).has_tensor("weights")


def test_tensorflow_finds_the_best_checkpoint_at_a_url(tmp_path, save):
    save(tmp_path, steps=(1,))
    copy_folder(tmp_path, path_of("ram://best/run"))
    best = BestCheckpoint(path_of("ram://best/run"))
    assert best.offer("ram://best/run/model.ckpt-1", {"accuracy": 0.6}, 1)
    assert tf.train.latest_checkpoint("ram://best/run/best") == "ram://best/run/best/model.ckpt-1"
