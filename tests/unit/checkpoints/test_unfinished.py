"""Files that a save leaves behind if it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.checkpoints import unfinished


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_temporary_files_of_saves_are_removed(tmp_path):
    kept = ["checkpoint", "model.ckpt-5.data-00000-of-00001", "model.ckpt-5.index", "model.ckpt-5.meta", "notes.tmp1"]
    temporary = [
        "checkpoint.tmp0a1b2c", "graph.pbtxt.tmp9f", "model.ckpt-7.meta.tmp77",
        "model.ckpt-7.data-00000-of-00001.tempstate12345", "model.ckpt-7.index.tempstate99",
    ]  # fmt: skip
    for name in (*kept, *temporary):
        (tmp_path / name).touch()
    unfinished.remove_temporary_files(tmp_path)
    assert _names(tmp_path) == kept


def test_the_parts_of_one_checkpoint_are_removed(tmp_path):
    for name in ("model.ckpt-5.index", "model.ckpt-50.index", "model.ckpt-5.data-00000-of-00001"):
        (tmp_path / name).touch()
    unfinished.remove_parts(str(tmp_path / "model.ckpt-5"))
    assert _names(tmp_path) == ["model.ckpt-50.index"]


def test_the_index_is_removed_first_so_that_an_interruption_leaves_no_index_without_data(tmp_path, monkeypatch):
    names = ["model.ckpt-5.data-00000-of-00001", "model.ckpt-5.index", "model.ckpt-5.meta"]
    for name in names:
        (tmp_path / name).touch()
    removed, unlink = [], Path.unlink

    def interrupted(path):
        if removed:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path)

    monkeypatch.setattr(Path, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unfinished.remove_parts(str(tmp_path / "model.ckpt-5"))
    assert removed == ["model.ckpt-5.index"]


def test_data_that_came_without_its_index_is_removed(tmp_path):
    kept = ["model.ckpt-5.data-00000-of-00001", "model.ckpt-5.index", "model.ckpt-5.meta", "model.ckpt-7"]
    old_format = ["model.ckpt-7.meta"]
    for name in (*kept, *old_format, "model.ckpt-6.data-00000-of-00001", "model.ckpt-6.meta"):
        (tmp_path / name).touch()
    unfinished.remove_parts_without_index(tmp_path)
    assert _names(tmp_path) == [*kept, *old_format]


def test_a_folder_that_is_gone_is_no_error(tmp_path):
    unfinished.remove_temporary_files(tmp_path / "gone")
    unfinished.remove_parts_without_index(tmp_path / "gone")
    unfinished.remove_parts(str(tmp_path / "gone" / "model.ckpt-5"))
