"""Duplicates of a source of images."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from datasets.class_folders import scan
from datasets.duplicates.of_source import duplicates_of


@pytest.mark.parametrize("num_workers", [1, 2])
def test_copies_are_one_group_and_broken_images_none(
    class_folders: Callable[[Mapping[str, int]], Path], picture: Callable[..., object], num_workers: int
) -> None:
    pytest.importorskip("imagehash")
    root = class_folders({"cat": 0, "dog": 0})
    for number in range(3):
        picture(size=(60, 40)).rotate(50 * number).save(root / "cat" / f"{number}.jpg")  # type: ignore[attr-defined]
    shutil.copy(root / "cat/1.jpg", root / "dog/copy.jpg")
    for name in ("a", "b"):
        (root / "dog" / f"{name}.jpg").write_bytes((root / "cat/1.jpg").read_bytes()[:-30])
    done = []
    groups = duplicates_of(scan(root), num_workers, lambda *progress: done.append(progress))
    assert groups == {"cat/1.jpg": "cat/1.jpg", "dog/copy.jpg": "cat/1.jpg"}
    assert done[-1] == ("comparing images", 6, 6, "images")
