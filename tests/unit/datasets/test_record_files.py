"""How record files are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.errors import DataError
from datasets.record_files import check_shards, file_names, find_any_record_files, find_record_files


def test_the_names_that_are_written_are_found(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 1)):
        for name in file_names("my_pets", split, count):
            (tmp_path / name).touch()
    found = find_record_files(tmp_path)
    assert {key: len(paths) for key, paths in found.items()} == {("my_pets", "train"): 3, ("my_pets", "test"): 1}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("flowers_train_00000-of-00002.tfrecord", ("flowers", "train")),
        ("train-00000-of-01024", (None, "train")),
        ("notes.txt", None),
    ],
)
def test_the_names_of_research_slim_are_found(name: str, key: object, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert list(find_record_files(tmp_path)) == ([key] if key else [])


@pytest.mark.parametrize("find", [find_record_files, find_any_record_files])
def test_a_folder_is_no_record_file(find: Callable[[Path], object], tmp_path: Path) -> None:
    for name in ("train", "a_train.tfrecord"):
        (tmp_path / name).mkdir()
    assert not find(tmp_path)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a_train-00000-of-00002.tfrecord"], "shard 00001 is missing"),
        (["a_train.tfrecord", "a_train-00000-of-00002.tfrecord"], "two conversions side by side"),
    ],
)
def test_files_that_are_no_whole_set_are_refused(names: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        check_shards([tmp_path / name for name in names])
