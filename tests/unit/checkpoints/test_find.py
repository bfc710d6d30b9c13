"""Finding checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datasets.storage import copy_folder, path_of
from slim_train.checkpoints.find import is_complete, latest_checkpoint, repair_state, step_of
from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.errors import UsageError
from slim_train.tf_compat import tf


def _cut_short(prefix):
    path = next(iter(prefix.parent.glob(f"{prefix.name}.data-*")))
    path.unlink()


def test_the_latest_checkpoint_is_found_after_the_folder_was_moved(tmp_path, save):
    save(tmp_path / "old", steps=(1, 2))
    (tmp_path / "old").rename(tmp_path / "new")
    assert latest_checkpoint(tmp_path / "new") == str(tmp_path / "new" / "model.ckpt-2")


def test_repair_points_a_moved_folder_at_its_own_checkpoint(tmp_path, save):
    save(tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    tf.train.update_checkpoint_state(str(tmp_path / "new"), str(tmp_path / "old" / "model.ckpt-7"))
    repair_state(tmp_path / "new")
    assert tf.train.latest_checkpoint(str(tmp_path / "new")) == str(tmp_path / "new" / "model.ckpt-7")


def test_a_training_folder_that_lost_its_state_file_is_not_empty(tmp_path, save):
    prefix = save(tmp_path)
    (tmp_path / "checkpoint").unlink()
    assert latest_checkpoint(tmp_path) == prefix
    assert repair_state(tmp_path) == prefix == tf.train.latest_checkpoint(str(tmp_path))


def test_a_folder_without_checkpoints_has_no_latest(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "nowhere") is None


def test_a_checkpoint_cut_short_is_passed_over(tmp_path, save):
    save(tmp_path, steps=(1, 2))
    _cut_short(tmp_path / "model.ckpt-2")
    assert not is_complete(str(tmp_path / "model.ckpt-2"))
    assert latest_checkpoint(tmp_path) == str(tmp_path / "model.ckpt-1")


def test_repair_makes_tensorflow_itself_see_the_last_good_checkpoint(tmp_path, save):
    save(tmp_path, steps=(1, 2))
    _cut_short(tmp_path / "model.ckpt-2")
    assert repair_state(tmp_path) == str(tmp_path / "model.ckpt-1")
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-1")


def test_repair_names_the_last_good_checkpoint_at_a_url(tmp_path, save):
    save(tmp_path, steps=(1, 2))
    url = path_of("ram://repair/run")
    copy_folder(tmp_path, url)
    _cut_short(url / "model.ckpt-2")
    assert repair_state(url) == "ram://repair/run/model.ckpt-1"
    assert tf.train.latest_checkpoint(str(url)) == "ram://repair/run/model.ckpt-1"


def test_repair_forgets_a_folder_whose_checkpoints_are_all_broken(tmp_path, save):
    save(tmp_path)
    _cut_short(tmp_path / "model.ckpt-7")
    assert repair_state(tmp_path) is None
    assert tf.train.get_checkpoint_state(str(tmp_path)) is None


def test_an_index_file_with_other_bytes_is_not_a_checkpoint(tmp_path, save):
    prefix = save(tmp_path)
    (tmp_path / "model.ckpt-7.index").write_bytes(b"not a table")
    assert not is_complete(prefix)


@pytest.mark.parametrize("suffix", ["", ".index", ".meta", ".data-00000-of-00001"])
def test_any_file_of_a_checkpoint_stands_for_it(tmp_path, suffix, save):
    prefix = save(tmp_path)
    assert resolve_checkpoint(prefix + suffix) == prefix


def test_a_folder_stands_for_its_only_checkpoint_without_a_state_file(tmp_path, save):
    prefix = save(tmp_path)
    (tmp_path / "checkpoint").unlink()
    assert resolve_checkpoint(str(tmp_path)) == prefix


def test_a_path_that_does_not_exist_is_named_with_what_lies_beside_it(tmp_path, save):
    save(tmp_path)
    with pytest.raises(UsageError, match=r"model.ckpt-8 does not exist; beside it: model.ckpt-7"):
        resolve_checkpoint(str(tmp_path / "model.ckpt-8"))


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(UsageError, match=r"cat\.jpg is not a complete TensorFlow checkpoint"):
        resolve_checkpoint(str(tmp_path / "cat.jpg"))


def test_the_step_is_read_from_the_checkpoint(tmp_path, save):
    assert step_of(save(tmp_path, steps=(7,))) == 7


def test_the_checkpoint_file_of_a_relative_folder_names_what_is_there(tmp_path, monkeypatch, save):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "x").mkdir(parents=True)
    save(tmp_path / "runs" / "x")
    (tmp_path / "runs" / "x" / "checkpoint").unlink(missing_ok=True)
    repair_state(Path("runs/x"))
    assert tf.train.latest_checkpoint("runs/x") == "runs/x/model.ckpt-7"
    assert tf.train.latest_checkpoint(str(tmp_path / "runs" / "x")) == str(tmp_path / "runs" / "x" / "model.ckpt-7")
