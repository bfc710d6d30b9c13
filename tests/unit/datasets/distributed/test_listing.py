from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from datasets.class_folders import find_class_folders
from datasets.distributed.job import Settings, write_folders, write_settings
from datasets.distributed.listing import (
    list_folders,
    listing_file,
    names_of,
    num_listings,
    read_excluded,
    write_excluded,
)

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra [spark])")


@pytest.fixture
def job(tmp_path: Path, class_folders: Callable[[Mapping[str, int]], Path]) -> Path:
    """Three class folders to list, the second without a file."""
    pictures = class_folders({"a": 3, "b": 0, "c": 2})
    folder = tmp_path / "out" / ".converting" / "job-1"
    folder.mkdir(parents=True)
    settings = Settings(str(pictures), str(tmp_path / "out"), "pets", False, 0.5, "filename_hash", 0, 1, False)
    write_settings(folder, settings)
    write_folders(folder, find_class_folders(pictures).folders)
    return folder


def test_a_task_counts_and_stores_the_files_of_its_folders(job: Path) -> None:
    found = [json.loads(list_folders(job, number)) for number in range(3)]
    assert [(name, count) for ((name, count, *_),) in found] == [("a", 3), ("", 0), ("c", 2)]
    assert found[1][0][3] == {"empty class folder 'b'": 1}
    rows = pq.read_table(listing_file(job, 2)).to_pylist()
    assert [(row["folder"], row["name"]) for row in rows] == [(2, b"c/0.jpg"), (2, b"c/1.jpg")]
    assert all(len(row["split_key"]) == 4 and len(row["order_key"]) == 8 for row in rows)


def test_the_files_of_some_folders_are_found_again(job: Path) -> None:
    for number in range(3):
        list_folders(job, number)
    assert names_of(job, 3, [0, 1]) == ["a/0.jpg", "a/1.jpg", "a/2.jpg"]


def test_many_folders_share_a_task() -> None:
    assert [num_listings(count) for count in (1, 64, 100_000)] == [1, 64, 64]


def test_nothing_is_excluded_until_it_is_said(tmp_path: Path) -> None:
    assert read_excluded(tmp_path) == frozenset()
    write_excluded(tmp_path, {"b/\udcff.jpg", "a/1.jpg"})
    assert read_excluded(tmp_path) == {b"a/1.jpg", b"b/\xff.jpg"}
