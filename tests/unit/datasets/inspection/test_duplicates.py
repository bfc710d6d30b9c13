"""Duplicates of class folders and records."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image

from datasets.convert import convert_dataset
from datasets.errors import DataError
from datasets.inspection.duplicates import duplicate_findings
from datasets.inspection.exclusions import exclusions_of
from datasets.inspection.inspect import inspect
from datasets.inspection.result import DuplicateCounts, Leak

Folders = Callable[[Mapping[str, int]], Path]


@pytest.fixture
def leaky(class_folders: Folders, encoded: Callable[..., bytes]) -> Path:
    """0.jpg, 1.jpg, ... are the same in every class folder; the folders have no other copies, but for one BMP."""
    root = class_folders({"train/cat": 3, "train/dog": 1, "test/cat": 1, "test/dog": 0})
    image = Image.open(root / "train/cat/2.jpg")
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    (root / "train/cat/copy.bmp").write_bytes(buffer.getvalue())
    return root


def test_equal_files_are_found_across_classes_and_splits(leaky: Path) -> None:
    duplicates = inspect(leaky, compare="bytes").duplicates
    assert duplicates
    (group,) = duplicates.groups
    assert [str(image) for image in group.images] == ["test/cat/0.jpg", "train/cat/0.jpg", "train/dog/0.jpg"]
    assert duplicates.counts == {"bytes": DuplicateCounts(1, 3, 0, 1, 1)}
    assert duplicates.leaks == (Leak("test", "train", 1, 1),)


def test_equal_pixels_are_found_in_other_formats(leaky: Path) -> None:
    duplicates = inspect(leaky, compare="pixels").duplicates
    assert duplicates
    assert duplicates.counts["bytes"].groups == 1
    assert duplicates.counts["pixels"] == DuplicateCounts(2, 5, 1, 1, 1)
    copies = duplicates.groups[1].images
    assert [image.file for image in copies] == ["train/cat/2.jpg", "train/cat/copy.bmp"]
    assert [image.likeness for image in copies] == ["bytes", "pixels"]
    assert copies[1].data == (leaky / "train/cat/copy.bmp").read_bytes()


def test_records_have_the_duplicates_of_the_folders_that_they_are_made_from(tmp_path: Path, leaky: Path) -> None:
    convert_dataset("image_folder", tmp_path / "data", leaky)
    of_folders, of_records = (inspect(path, compare="pixels").duplicates for path in (leaky, tmp_path / "data"))
    assert of_folders and of_records
    assert of_records.counts == of_folders.counts
    sources = [{image.source for image in group.images} for group in of_records.groups]
    assert sorted(map(sorted, sources)) == sorted(sorted(i.file for i in group.images) for group in of_folders.groups)
    assert all(image.data for group in of_records.groups for image in group.images)


def test_several_processes_find_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, leaky: Path) -> None:
    from datasets.inspection import of_folders, of_records

    convert_dataset("image_folder", tmp_path / "data", leaky)
    alone = [inspect(path, compare="pixels").duplicates for path in (leaky, tmp_path / "data")]
    monkeypatch.setattr(of_folders, "_FILES_IN_A_CHUNK", 2)
    monkeypatch.setattr(of_folders, "_FILES_WORTH_PROCESSES_TO_DECODE", 0)
    monkeypatch.setattr(of_records, "_CHUNK_BYTES", 500)
    monkeypatch.setattr(of_records, "_BYTES_WORTH_PROCESSES_TO_DECODE", 0)
    assert [inspect(path, compare="pixels", num_workers=2).duplicates for path in (leaky, tmp_path / "data")] == alone


def test_findings_say_what_is_wrong_and_are_no_faults(leaky: Path) -> None:
    duplicates = inspect(leaky, compare="pixels").duplicates
    assert duplicates
    findings = list(duplicate_findings(duplicates))
    assert [finding.check for finding in findings] == [
        "duplicates_across_splits",
        "duplicates_across_classes",
        "duplicates_within_class",
    ]
    assert not any(finding.is_fault for finding in findings)
    assert "(100.0%) are also in train" in findings[0].message
    assert [str(place) for place in findings[0].places] == ["test/cat/0.jpg: also train/cat/0.jpg"]
    assert findings[1].message == "1 image with more than one label, in 3 copies."
    assert str(findings[2].places[0]) == "train/cat/2.jpg: also train/cat/copy.bmp"


def test_without_duplicates_there_is_nothing_to_say(class_folders: Folders) -> None:
    inspection = inspect(class_folders({"cat": 3}), compare="pixels")
    assert inspection.duplicates
    assert inspection.duplicates.groups == ()
    assert inspection.findings == ()
    assert inspection.decoded


def test_a_broken_image_is_no_duplicate(class_folders: Folders) -> None:
    root = class_folders({"cat": 2, "dog": 2})
    for name in ("cat/a.jpg", "dog/b.jpg"):
        (root / name).write_bytes((root / "cat/1.jpg").read_bytes()[:-40])
    inspection = inspect(root, compare="pixels")
    assert [finding.check for finding in inspection.faults] == ["broken_images"]
    assert inspection.duplicates
    assert all("a.jpg" not in image.file for group in inspection.duplicates.groups for image in group.images)


def test_of_one_label_the_image_that_is_evaluated_stays_and_of_several_labels_none(leaky: Path) -> None:
    (leaky / "test/cat/2.jpg").write_bytes((leaky / "train/cat/2.jpg").read_bytes())
    duplicates = inspect(leaky, compare="pixels").duplicates
    assert duplicates
    assert sorted(exclusions_of(duplicates, leaky)) == [
        ("test/cat/0.jpg", "another label, equal bytes", "train/dog/0.jpg"),
        ("train/cat/0.jpg", "another label, equal bytes", "train/dog/0.jpg"),
        ("train/cat/2.jpg", "equal bytes", "test/cat/2.jpg"),
        ("train/cat/copy.bmp", "equal pixels", "test/cat/2.jpg"),
        ("train/dog/0.jpg", "another label, equal bytes", "test/cat/0.jpg"),
    ]


def test_records_without_file_names_cannot_be_excluded(
    tmp_path: Path, write: Callable[..., Path], slim: Callable[..., dict[str, object]]
) -> None:
    write(tmp_path / "pets_train.tfrecord", [slim(0), slim(0), slim(1, 1)])
    duplicates = inspect(tmp_path, compare="bytes").duplicates
    assert duplicates
    with pytest.raises(DataError, match=r"from which they were made \(first: pets_train.tfrecord, record 1\)"):
        list(exclusions_of(duplicates, tmp_path))


def test_of_a_large_group_an_image_of_each_split_and_class_is_shown(class_folders: Folders) -> None:
    root = class_folders({"test/cat": 1, "train/cat": 1, "train/dog": 1})
    for folder, count in (("test/cat", 9), ("train/cat", 9)):
        for number in range(1, count):
            (root / folder / f"copy{number}.jpg").write_bytes((root / "test/cat/0.jpg").read_bytes())
    duplicates = inspect(root, compare="bytes").duplicates
    assert duplicates
    (group,) = duplicates.groups
    shown = [image.file for image in group.images if image.data]
    assert len(shown) == 6
    assert "train/dog/0.jpg" in shown
    assert sum(name.startswith("test/") for name in shown) == 3
