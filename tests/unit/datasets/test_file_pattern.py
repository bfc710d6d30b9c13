"""Record files by a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.errors import DataError
from datasets.file_pattern import files_of_all_splits, files_of_split
from datasets.tfrecords import write_records


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("%s.bin", ["test.bin", "train.bin"]),
        ("%s*", ["test.bin", "train.bin"]),
        ("*%s*", ["test.bin", "train.bin"]),
        ("t%s", ["test.bin", "train.bin"]),
        ("**/%s-1.bin", ["deep/er/test-1.bin"]),
        ("*/*/%s*", ["deep/er/test-1.bin"]),
        ("train.bin", ["train.bin"]),
    ],
)
def test_every_split_is_reached(tmp_path: Path, pattern: str, names: list[str]) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("train.bin", "test.bin", "deep/er/test-1.bin"):
        write_records(tmp_path / name, [b"one"])
    (tmp_path / "labels.txt").write_text("0:daisy\n1:roses\n")
    found = files_of_all_splits(tmp_path, pattern)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == names


def test_a_split_is_named_in_the_pattern(tmp_path: Path) -> None:
    for name in ("train.bin", "test.bin"):
        write_records(tmp_path / name, [b"one"])
    assert files_of_split(tmp_path, "%s.bin", "test") == [tmp_path / "test.bin"]
    with pytest.raises(DataError, match=r"--file_pattern=%s\.bin: no file of .* matches dev\.bin"):
        files_of_split(tmp_path, "%s.bin", "dev")
    with pytest.raises(DataError, match="--file_pattern=/data/%s: "):
        files_of_split(tmp_path, "/data/%s", "train")
