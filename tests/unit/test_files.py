"""Files that are either whole or absent."""

from __future__ import annotations

import pytest

from slim_train.files import replacing


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "out.png"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".png"
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_machine_refuses_is_told_of_the_file_and_not_of_its_temporary_name(tmp_path):
    folder = tmp_path / "out.png"
    folder.mkdir()
    with pytest.raises(IsADirectoryError) as told, replacing(folder) as temporary:
        temporary.write_text("whole")
    assert told.value.filename == str(folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.png"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
