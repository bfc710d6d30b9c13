"""Images that this process lists, orders and writes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from datasets.class_folders import NoImages, scan
from datasets.errors import DataError
from datasets.exclusions import read_exclusions
from datasets.image_list import Division, ImageList
from datasets.local_images import LocalImages, list_folders, list_source
from datasets.writing import RecordWriter

MakeFolders = Callable[[Mapping[str, int]], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a list."""
    (tmp_path / "list").mkdir()
    return tmp_path / "list"


def _names(images: ImageList, classes: tuple[str, ...]) -> dict[str, list[str]]:
    return {split: sorted(name for name, _ in shard) for split, (shard,) in images.order(classes, 1, {}).items()}


def test_class_folders_and_the_names_of_a_scan_give_the_same_list(
    class_folders: MakeFolders, tmp_path: Path, folder: Path
) -> None:
    root = class_folders({"train/cat/in": 2, "train/dog": 1, "val/cat": 1, "val/nothing": 0})
    images, classes, is_split = list_folders(root, tmp_path / "out", lambda is_split: ImageList(folder, 0, None))
    assert (classes, is_split) == (("cat", "dog"), True)
    expected = {
        "train": ["train/cat/in/0.jpg", "train/cat/in/1.jpg", "train/dog/0.jpg"],
        "validation": ["val/cat/0.jpg"],
    }
    assert _names(images, classes) == expected
    (tmp_path / "other").mkdir()
    source = list_source(scan(root), lambda is_split: ImageList(tmp_path / "other", 0, None))
    assert _names(source, classes) == expected


def test_excluded_images_are_not_listed(
    class_folders: MakeFolders, tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = class_folders({"train/cat": 3, "train/dog": 2, "val/cat": 1})
    (root / "train" / "notes").mkdir()
    (root / "train" / "notes" / "a.txt").write_text("no image")
    (tmp_path / "list.txt").write_text("train/cat/1.jpg\nval/cat/0.jpg\ntrain/notes/a.txt\n")
    excluded = read_exclusions(tmp_path / "list.txt")
    with caplog.at_level(logging.INFO):
        images, classes, _ = list_folders(root, tmp_path / "out", lambda _: ImageList(folder, 0, None), excluded)
    left = ["train/cat/0.jpg", "train/cat/2.jpg", "train/dog/0.jpg", "train/dog/1.jpg"]
    assert _names(images, classes) == {"train": left}
    assert "1 of 3 names are no images, such as train/notes/a.txt." in caplog.text
    assert "2 images are left out." in caplog.text


def test_a_class_of_which_all_images_are_excluded_is_an_error(
    class_folders: MakeFolders, tmp_path: Path, folder: Path
) -> None:
    root = class_folders({"cat": 3, "dog": 1})
    (tmp_path / "list.txt").write_text("dog/0.jpg\n")
    excluded = read_exclusions(tmp_path / "list.txt")
    with pytest.raises(DataError, match="leaves no image of class 'dog'"):
        list_folders(root, tmp_path / "out", lambda _: ImageList(folder, 0, None), excluded)


def test_a_folder_without_images_is_an_error(class_folders: MakeFolders, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NoImages, match="no class folder with an image"):
        list_folders(class_folders({"cat": 0}), tmp_path, lambda is_split: ImageList(folder, 0, None))
    assert not list(folder.iterdir())


def test_a_class_that_is_left_with_one_image_is_named(class_folders: MakeFolders, tmp_path: Path, folder: Path) -> None:
    source = scan(class_folders({"cat": 3, "dog": 3}))
    listed = list_source(source, lambda is_split: ImageList(folder, 0, Division(0.3, "random")))
    writer = RecordWriter(tmp_path, "pets", 1, 1, "", False, lambda *_: None)
    images = LocalImages(listed, source.classes, source.is_split, source.reader, writer)
    with pytest.raises(DataError, match=r"Class 'dog' has a single usable image, dog/1\.jpg"):
        images.write({"dog/0.jpg": 1, "dog/2.jpg": 1})
