"""Conversions from and to URLs, on the file system in memory that TensorFlow has built in."""

from __future__ import annotations

import csv
import itertools
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets import convert
from datasets.convert import NotForClusters, convert_dataset
from datasets.errors import DataError
from datasets.factory import get_dataset
from datasets.storage import copy_file, path_of

MakeFolders = Callable[..., Path]
_numbers = itertools.count()


@pytest.fixture
def url() -> Path:
    """A folder at a URL with nothing in it."""
    return path_of(f"ram://convert/{next(_numbers)}")


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _upload(folder: Path, url: Path) -> Path:
    for path in folder.rglob("*"):
        if path.is_file():
            copy_file(path, url / path.relative_to(folder).as_posix())
    return url


@pytest.mark.parametrize("num_workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_from_a_url_to_a_url_writes_what_is_written_here(
    class_folders: MakeFolders, tmp_path: Path, url: Path, num_workers: int
) -> None:
    pictures = class_folders({"train/dog": 70, "train/cat": 3, "val/dog": 2, "val/cat": 2})
    (pictures / "train" / "dog" / "7.jpg").write_bytes(b"no image")
    (pictures / "train" / ".hidden").write_bytes(b"")
    options = {"num_shards": 2, "num_workers": num_workers}
    convert_dataset("image_folder", tmp_path / "out", pictures, **options)
    report = convert_dataset("image_folder", url / "out", _upload(pictures, url / "images"), **options)
    assert report.dataset_dir == str(url / "out")
    assert _contents(url / "out") == _contents(tmp_path / "out")
    assert get_dataset(None, "validation", url / "out").num_samples == 4


def test_a_finished_data_set_is_left_as_it_is(class_folders: MakeFolders, url: Path) -> None:
    pictures = class_folders({"dog": 4, "cat": 4})
    convert_dataset("image_folder", url, pictures)
    assert convert_dataset("image_folder", url, pictures).already_finished
    assert not convert_dataset("image_folder", url, pictures, overwrite=True, num_shards=2).already_finished
    assert sorted(path.name for path in url.glob("*.tfrecord")) == [
        f"image_folder_{split}-0000{shard}-of-00002.tfrecord" for split in ("test", "train") for shard in range(2)
    ]


def test_what_a_killed_upload_left_is_no_data_set_and_the_next_run_replaces_it(
    class_folders: MakeFolders, url: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = class_folders({"dog": 4, "cat": 4})
    convert_dataset("image_folder", url, pictures, num_shards=2)

    class Killed(BaseException):
        pass

    def publish_half(folder: Path, target: Path, name: str) -> None:
        (target / "info.json").unlink()
        copy_file(next(folder.glob("*train*")), target / "image_folder_train.tfrecord")
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(convert, "publish", publish_half)
        convert_dataset("image_folder", url, pictures, overwrite=True)
    (url / ".converting").write_text("")  # nor does a killed process remove this
    with pytest.raises(DataError, match="info.json"):
        get_dataset(None, "train", url)
    with caplog.at_level(logging.WARNING):
        convert_dataset("image_folder", url, pictures)
    assert "is running, or was killed" in caplog.text
    assert sorted(_contents(url)) == [
        "image_folder_test.tfrecord",
        "image_folder_train.tfrecord",
        "info.json",
        "labels.txt",
        "rejected.csv",
    ]


def test_a_store_that_takes_no_files_is_an_error_before_the_conversion(class_folders: MakeFolders) -> None:
    with pytest.raises(DataError, match="into swift://bucket/out stopped: .*(not known|fsspec)"):
        convert_dataset("image_folder", "swift://bucket/out", class_folders({"dog": 2}))


def test_a_url_without_images_is_named(url: Path) -> None:
    with pytest.raises(DataError, match=f"--pic_path={url}/images does not exist"):
        convert_dataset("image_folder", url / "out", url / "images")
    assert not list((url / "out").iterdir())


def test_fer2013_is_read_from_the_csv_file_in_an_archive_or_folder_at_a_url(url: Path, tmp_path: Path) -> None:
    with (tmp_path / "fer2013.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("emotion", "pixels", "Usage"))
        rows.writerows((emotion, " ".join(["7"] * 48 * 48), "Training") for emotion in (0, 3, 3))
    _upload(tmp_path, url)
    report = convert_dataset("fer", url / "out", url)
    assert report.info.labels == ("angry", "happy")
    assert report.info.splits["train"].class_counts == (1, 2)


def test_flowers_are_unpacked_from_an_archive_at_a_url(class_folders: MakeFolders, url: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "flowers.tgz", "w:gz") as archive:
        archive.add(class_folders({"rose": 2, "tulip": 2}), "flower_photos")
    copy_file(tmp_path / "flowers.tgz", url / "flowers.tgz")
    assert convert_dataset("flowers", url / "out", url / "flowers.tgz").info.labels == ("rose", "tulip")


def test_a_cluster_converts_folders_that_its_workers_see(url: Path) -> None:
    with pytest.raises(NotForClusters, match="--spark_master requires.*ram://"):
        convert_dataset("image_folder", url, "pictures", cluster=object())  # type: ignore[arg-type]
