"""Class folders where a data set is expected."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.class_folders import scan
from datasets.converted_folder import data_set_of
from datasets.errors import DataError
from datasets.factory import get_dataset
from datasets.output import staging


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(4):
            pixels = np.full((8, 8), 20 * index, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{index}.png")
    return tmp_path / "images"


def test_class_folders_are_converted_once_and_again_when_they_change(images: Path) -> None:
    folder = data_set_of(images)
    assert get_dataset(None, "train", folder).labels == ("cat", "dog")
    before = (Path(folder) / "info.json").stat().st_mtime_ns
    assert data_set_of(images) == folder
    assert (Path(folder) / "info.json").stat().st_mtime_ns == before
    (images / "dog" / "3.png").unlink()
    other = data_set_of(images)
    assert other != folder
    assert sum(get_dataset(None, split, other).num_samples for split in ("train", "test")) == 7


def test_the_log_says_once_that_images_are_listed(images: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data_set_of(images)
    assert [record.getMessage() for record in caplog.records].count(f"Listing the images in {images}.") == 1


def test_a_cache_inside_the_images_is_no_class(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(images / "cache"))
    folder = data_set_of(images)
    assert data_set_of(images) == folder
    assert get_dataset(None, "train", folder).labels == ("cat", "dog")


def test_a_folder_with_records_or_with_nothing_is_taken_as_it_is(images: Path, tmp_path: Path) -> None:
    folder = data_set_of(images)
    assert data_set_of(folder) == folder
    (images / "train.tfrecord").touch()
    assert data_set_of(images) == str(images)
    assert data_set_of(tmp_path / "missing") == str(tmp_path / "missing")


def test_images_that_cannot_be_used_are_an_error(images: Path) -> None:
    for path in (images / "cat").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="Class 'cat'"):
        data_set_of(images)


def test_a_task_waits_for_another_that_converts_the_same_images(images: Path) -> None:
    target = Path(data_set_of(images))
    (target / "info.json").unlink()
    found: list[str] = []
    with staging(target):
        waiting = threading.Thread(target=lambda: found.append(data_set_of(images)))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join(60)
    assert found == [str(target)]
    assert (target / "info.json").is_file()


def test_class_folders_below_split_folders_are_converted_with_these_splits(images: Path) -> None:
    for split in ("train", "test"):
        (images.parent / "splits").mkdir(exist_ok=True)
        shutil.copytree(images, images.parent / "splits" / split)
    folder = data_set_of(images.parent / "splits")
    assert [get_dataset(None, split, folder).num_samples for split in ("train", "test")] == [8, 8]


def test_the_key_of_a_converted_folder_is_that_of_earlier_releases(images: Path) -> None:
    """SHA-256 over all images, by split, class and name: folders in the cache stay valid."""
    for name in ("dog/b c.png", "dog/in/é.png"):
        (images / name).parent.mkdir(exist_ok=True)
        shutil.copy(images / "dog" / "0.png", images / name)
    digest = hashlib.sha256(os.fsencode(images.resolve()))
    for classes in scan(images).splits["train"]:
        for name in classes:
            status = (images / name).stat()
            digest.update(f"train\0{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    assert Path(data_set_of(images)).name == f"images-{digest.hexdigest()[:16]}"
