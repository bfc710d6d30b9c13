"""What file systems of TensorFlow do differently, on the one in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets import tensorflow_files


def test_the_start_of_a_name_is_no_folder() -> None:
    tensorflow_files.write("ram://files/run/model.ckpt-3.index", b"x")
    assert tensorflow_files.is_folder("ram://files/run")
    assert not tensorflow_files.is_folder("ram://files/run/model.ckpt-3")
    with pytest.raises(FileNotFoundError):
        tensorflow_files.status("ram://files/run/model.ckpt-3")


def test_a_shorter_file_replaces_a_longer_one(tmp_path: Path) -> None:
    tensorflow_files.write("ram://files/a", b"longer")
    tensorflow_files.write("ram://files/a", b"short")
    with tensorflow_files.reader("ram://files/a") as file:
        assert file.read() == b"short"
    (tmp_path / "b").write_bytes(b"b")
    tensorflow_files.copy(tmp_path / "b", "ram://files/a")
    assert tensorflow_files.status("ram://files/a").st_size == 1


def test_names_tell_files_from_folders() -> None:
    tensorflow_files.write("ram://files/both/file", b"x")
    tensorflow_files.write("ram://files/both/folder/file", b"x")
    assert tensorflow_files.names("ram://files/both") == ["file", "folder"]
    assert tensorflow_files.entries("ram://files/both") == [("file", False), ("folder", True)]


def test_a_scheme_that_tensorflow_does_not_serve_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="s3"):
        tensorflow_files.status("s3://bucket/file")
