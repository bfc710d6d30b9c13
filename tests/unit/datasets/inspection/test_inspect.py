"""Inspecting folders of every kind."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from datasets.convert import convert_dataset
from datasets.errors import DataError
from datasets.foreign import RecordsAsTold
from datasets.inspection import of_folders, of_records
from datasets.inspection.inspect import inspect
from datasets.storage import copy_folder, path_of

Folders = Callable[[Mapping[str, int]], Path]
Write = Callable[..., Path]
Slim = Callable[..., dict[str, Any]]


def test_a_converted_folder_has_what_was_converted(tmp_path: Path, class_folders: Folders) -> None:
    root = class_folders({"train/cat": 4, "train/dog": 2, "test/cat": 1, "test/dog": 2})
    convert_dataset("image_folder", tmp_path / "data", root, num_shards=2)
    inspection = inspect(tmp_path / "data")
    assert (inspection.kind, inspection.name, inspection.labels) == ("converted", "image_folder", ("cat", "dog"))
    assert {name: split.class_counts for name, split in inspection.splits.items()} == {"train": (4, 2), "test": (1, 2)}
    assert inspection.splits["train"].num_files == 2
    sizes = sum(path.stat().st_size for path in (tmp_path / "data").glob("*.tfrecord"))
    assert inspection.num_bytes == sizes
    assert inspection.images
    assert inspection.images.formats == {"JPEG": 9}
    assert (inspection.image_key, inspection.label_key) == ("image/encoded", "image/class/label")
    assert inspection.keys["image/encoded"].role == "image"
    assert inspection.keys["image/format"].example == "always jpeg"
    assert inspection.findings == ()
    assert not (tmp_path / "data" / "records_scan.json").exists()


def test_class_folders_are_inspected_before_they_are_converted(class_folders: Folders) -> None:
    root = class_folders({"cat": 3, "dog": 2})
    inspection = inspect(root)
    assert (inspection.kind, inspection.labels) == ("class_folders", ("cat", "dog"))
    assert inspection.splits["all"].class_counts == (3, 2)
    assert inspection.images
    assert inspection.images.sizes == {(8, 12): 5}
    assert inspection.findings == ()
    assert {path.name for path in root.iterdir()} == {"cat", "dog"}


@pytest.mark.parametrize("is_converted", [False, True])
def test_a_data_set_at_a_url_is_what_it_is_on_this_machine(
    is_converted: bool, tmp_path: Path, class_folders: Folders
) -> None:
    root = class_folders({"train/cat": 4, "train/dog": 2, "test/cat": 1, "test/dog": 2})
    if is_converted:
        convert_dataset("image_folder", tmp_path / "data", root, num_shards=2)
        root = tmp_path / "data"
    url = path_of(f"memory://inspection/{is_converted}")
    copy_folder(root, url)
    here, there = (inspect(folder, compare="bytes") for folder in (root, url))
    assert there.dataset_dir == str(url)
    assert (there.splits, there.images, there.keys) == (here.splits, here.images, here.keys)
    assert there.num_bytes > 0
    assert there.samples == here.samples
    assert (there.duplicates, there.findings) == (here.duplicates, here.findings)


def test_split_folders_are_splits(class_folders: Folders) -> None:
    inspection = inspect(class_folders({"train/cat": 2, "train/dog": 1, "val/cat": 1}))
    assert {name: split.class_counts for name, split in inspection.splits.items()} == {
        "train": (2, 1),
        "validation": (1, 0),
    }
    assert [finding.message for finding in inspection.findings] == ["Split validation has no image of dog."]


def test_what_conversion_would_reject_is_found_before(class_folders: Folders) -> None:
    root = class_folders({"cat": 3, "dog": 1, "bird": 1})
    (root / "bird" / "0.jpg").write_text("no image")
    messages = [finding.message for finding in inspect(root).faults]
    assert messages == [
        "1 file cannot be decoded; conversion leaves them out.",
        "Class 'bird' has no usable image: conversion stops at it.",
        "Class 'dog' has a single usable image, dog/0.jpg: train and test need one each.",
    ]


def test_records_of_other_tools_are_inspected(tmp_path: Path, write: Write, encoded: Callable[..., bytes]) -> None:
    records = [{"image": encoded("PNG", shift=n), "label": n % 3, "weight": [0.1, 0.2]} for n in range(6)]
    write(tmp_path / "flowers-train.tfrecord-00000-of-00001", records, gzip.compress)
    (tmp_path / "label.labels.txt").write_text("daisy\nrose\ntulip\n")
    inspection = inspect(tmp_path)
    assert (inspection.kind, inspection.compression, inspection.labels) == (
        "records",
        "GZIP",
        ("daisy", "rose", "tulip"),
    )
    assert inspection.splits["train"].class_counts == (2, 2, 2)
    assert inspection.keys["weight"].values == (2, 2)
    assert len(inspection.samples) == 6


def test_one_record_file_is_inspected(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "a[1].rec", [slim(0), slim(1)])
    write(tmp_path / "b.rec", [slim(0)])
    assert inspect(tmp_path / "a[1].rec").num_images == 2


def test_keys_that_are_told_are_used(tmp_path: Path, write: Write, encoded: Callable[..., bytes]) -> None:
    records = [{"photo": encoded(), "mask": encoded("PNG"), "kind": name} for name in (b"cat", b"dog", b"cat")]
    write(tmp_path / "part-0", records)
    inspection = inspect(tmp_path, told=RecordsAsTold("part-*", image_key="photo", text_key="kind"))
    assert inspection.labels == ("cat", "dog")
    assert inspection.class_counts == (2, 1)
    assert inspection.images
    assert inspection.images.formats == {"JPEG": 3}


def test_several_processes_find_the_same(
    tmp_path: Path, class_folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = class_folders({"cat": 40, "dog": 30})
    convert_dataset("image_folder", tmp_path / "data", root)
    alone = [inspect(folder, decode=True) for folder in (root, tmp_path / "data")]
    monkeypatch.setattr(of_records, "_BYTES_WORTH_PROCESSES_TO_DECODE", 0)
    monkeypatch.setattr(of_records, "_CHUNK_BYTES", 9000)
    monkeypatch.setattr(of_folders, "_FILES_WORTH_PROCESSES_TO_DECODE", 0)
    monkeypatch.setattr(of_folders, "_FILES_IN_A_CHUNK", 16)
    done: list[int] = []
    for folder, expected in zip((root, tmp_path / "data"), alone, strict=True):
        found = inspect(folder, decode=True, num_workers=2, on_progress=lambda what, now, total, unit: done.append(now))
        assert (found.splits, found.images, found.keys, found.samples) == (
            expected.splits, expected.images, expected.keys, expected.samples,
        )  # fmt: skip
    assert len(done) > 8


@pytest.mark.parametrize("content", [[], ["a.txt"], ["sub"], ["sub/a.txt"]], ids=str)
def test_a_folder_without_a_data_set_is_an_error(tmp_path: Path, content: list[str]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in content:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("text") if "." in name else (folder / name).mkdir()
    with pytest.raises(DataError, match=r"holds no record files .* and no images in class folders. --file_pattern"):
        inspect(folder)


def test_a_folder_above_the_data_set_names_it(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "pets" / "train.tfrecord", [slim(0)])
    with pytest.raises(DataError, match=r"pets holds a data set\.$"):
        inspect(tmp_path)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone does not exist"):
        inspect(tmp_path / "gone")


def test_files_of_which_no_record_can_be_read_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.tfrecord").write_text("no records at all, but text " * 9)
    with pytest.raises(DataError, match=r"train.tfrecord: the length's checksum is wrong"):
        inspect(tmp_path)
    (tmp_path / "train.tfrecord").write_bytes(b"")
    with pytest.raises(DataError, match="hold no records"):
        inspect(tmp_path)


def test_flags_of_records_are_refused_for_class_folders(class_folders: Folders) -> None:
    root = class_folders({"cat": 2})
    with pytest.raises(DataError, match="--write_info is for records"):
        inspect(root, write_info=True)
    with pytest.raises(DataError, match="--image_key is for records"):
        inspect(root, told=RecordsAsTold(image_key="photo"))
