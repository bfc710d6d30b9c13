"""The first images of each class."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from datasets.inspection import samples
from datasets.inspection.inspect import inspect

Write = Callable[..., Path]
Slim = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_first_sound_images_of_each_class_are_returned(
    tmp_path: Path, write: Write, slim: Slim, pack: Callable[[bytes], bytes]
) -> None:
    records = [slim(label, number) for number, label in enumerate((1, 1, 0, 1, 0, 1))]
    records[0]["image/encoded"] = b""
    write(tmp_path / "train.tfrecord", records, pack)
    found = inspect(tmp_path, per_class=2).samples
    # Of class 1 two records were remembered, and one of them has no image.
    assert [(sample.label, sample.record) for sample in found] == [(0, 3), (0, 5), (1, 2)]
    assert [sample.data for sample in found] == [records[number]["image/encoded"] for number in (2, 4, 1)]


def test_a_class_that_the_first_split_lacks_comes_from_the_next(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "train.tfrecord", [slim(0), slim(0)])
    write(tmp_path / "test.tfrecord", [slim(1), slim(0)])
    found = inspect(tmp_path, per_class=3).samples
    assert [(sample.split, sample.label, sample.record) for sample in found] == [
        ("train", 0, 1),
        ("train", 0, 2),
        ("test", 0, 2),
        ("test", 1, 1),
    ]


def test_many_classes_have_fewer_images_each_and_then_the_largest_and_smallest_have_one(
    tmp_path: Path, write: Write, slim: Slim, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "train.tfrecord", [slim(label) for label in range(5) for _ in range(5 - label)])
    monkeypatch.setattr(samples, "MOST_SAMPLES", 10)
    assert [sample.label for sample in inspect(tmp_path).samples] == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    monkeypatch.setattr(samples, "MOST_SAMPLES", 2)
    assert [sample.label for sample in inspect(tmp_path).samples] == [0, 4]


def test_of_class_folders_broken_files_are_passed_over(class_folders: Callable[[Mapping[str, int]], Path]) -> None:
    root = class_folders({"cat": 3, "dog": 1})
    (root / "cat" / "0.jpg").write_text("no image")
    found = inspect(root, per_class=2).samples
    assert [(sample.file, sample.label) for sample in found] == [("cat/1.jpg", 0), ("cat/2.jpg", 0), ("dog/0.jpg", 1)]


def test_no_images_are_returned_if_none_are_asked_for(class_folders: Callable[[Mapping[str, int]], Path]) -> None:
    assert inspect(class_folders({"cat": 3, "dog": 2}), per_class=0).samples == ()
