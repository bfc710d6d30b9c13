"""Several processes that read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from datasets.errors import DataError
from datasets.inspection.file_facts import FileChunk
from datasets.inspection.processes import read_all
from datasets.inspection.record_facts import RecordChunk


def test_other_processes_find_what_this_one_finds(
    tmp_path: Path,
    write: Callable[..., Path],
    slim: Callable[..., dict],
    class_folders: Callable[[Mapping[str, int]], Path],
) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(0), slim(1) | {"image/encoded": b""}])
    root = class_folders({"cat": 2, "dög": 1})
    chunks = [
        RecordChunk(str(path), per_value=1),
        FileChunk(str(root), ["cat/0.jpg", "cat/1.jpg"]),
        FileChunk(str(root), ["dög/0.jpg", "dög/\udcff.jpg"], decode=True),
    ]
    here, elsewhere = (sorted(read_all(chunks, workers), key=lambda entry: entry[0]) for workers in (1, 2))
    assert [index for index, _ in elsewhere] == [0, 1, 2]
    assert [facts.bad for _, facts in elsewhere[1:]] == [facts.bad for _, facts in here[1:]]
    assert [facts.stats for _, facts in elsewhere] == [facts.stats for _, facts in here]
    assert elsewhere[0][1].scan == here[0][1].scan


def test_a_process_that_dies_is_an_error_that_names_what_it_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    chunks = [FileChunk(str(tmp_path), ["a.jpg"]), FileChunk(str(tmp_path), ["b.jpg"])]
    with pytest.raises(DataError, match=r"from [ab].jpg on died, probably out of memory. Try --num_workers=1"):
        list(read_all(chunks, 2))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_was_removed_meanwhile_is_an_error_that_names_it(workers: int, tmp_path: Path) -> None:
    chunks = [RecordChunk(str(tmp_path / f"{number}.tfrecord")) for number in range(2)]
    with pytest.raises(DataError, match=r"Cannot read .*\.tfrecord: No such file or directory\."):
        list(read_all(chunks, workers))


def test_processes_end_when_nobody_wants_the_rest(class_folders: Callable[[Mapping[str, int]], Path]) -> None:
    root = class_folders({"cat": 4})
    chunks = [FileChunk(str(root), [f"cat/{number}.jpg"]) for number in range(4)]
    reading = read_all(chunks, 2)
    next(reading)
    reading.close()  # hangs if they did not
