"""What may be wrong with records: each fault is found, named, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from datasets.foreign import RecordsAsTold
from datasets.inspection.checks import CHECKS
from datasets.inspection.inspect import inspect
from datasets.inspection.result import Finding
from datasets.spec import DatasetInfo, SplitInfo, write_info

Write = Callable[..., Path]
Slim = Callable[..., dict[str, Any]]


@pytest.fixture
def findings(tmp_path: Path, write: Write) -> Callable[..., dict[str, Finding]]:
    """``findings(records)``: what is found in a file train.tfrecord, by the name of the check."""

    def find(records: Sequence[dict[str, Any]], labels: str = "cat\ndog\n", **options: Any) -> dict[str, Finding]:
        write(tmp_path / "data" / "train.tfrecord", records)
        if labels:
            (tmp_path / "data" / "labels.txt").write_text(labels)
        return {finding.check: finding for finding in inspect(tmp_path / "data", **options).findings}

    return find


def test_sound_records_have_no_findings(findings: Callable[..., dict[str, Finding]], slim: Slim) -> None:
    assert findings([slim(0), slim(1), slim(0)], decode=True) == {}
    assert len(CHECKS) == len({check.__name__ for check in CHECKS})


def test_labels_out_of_range_are_listed_with_their_records(
    findings: Callable[..., dict[str, Finding]], slim: Slim
) -> None:
    found = findings([slim(0), slim(1), slim(5), slim(7), slim(5)])
    assert set(found) == {"refused", "labels_out_of_range"}
    finding = found["labels_out_of_range"]
    assert finding.message == "3 labels out of range, with 2 classes: 5 (2), 7 (1)."
    assert [str(place) for place in finding.places] == [
        "train.tfrecord, record 3: label 5",
        "train.tfrecord, record 5: label 5",
        "train.tfrecord, record 4: label 7",
    ]
    assert finding.is_fault


def test_class_names_that_labels_txt_lacks_are_out_of_range(
    findings: Callable[..., dict[str, Finding]], encoded: Callable[..., bytes]
) -> None:
    found = findings(
        [{"image": encoded(), "label": name} for name in (b"cat", b"dog", b"bird", b"cat")],
        told=RecordsAsTold(text_key="label"),
    )
    assert found["labels_out_of_range"].message == "1 label out of range, with 2 classes: bird (1)."


def test_records_without_image_or_label_are_listed(findings: Callable[..., dict[str, Finding]], slim: Slim) -> None:
    lacking = slim(1)
    del lacking["image/class/label"]
    found = findings([slim(0), slim(1), {"image/class/label": 0}, slim(1), lacking, slim(0)])
    assert found["no_image"].message == "1 record without image/encoded."
    assert [place.record for place in found["no_image"].places] == [3]
    assert [place.record for place in found["no_label"].places] == [5]


def test_empty_and_broken_images_are_listed_with_the_reason(
    findings: Callable[..., dict[str, Finding]], slim: Slim, encoded: Callable[..., bytes]
) -> None:
    records = [slim(0), slim(1), slim(0) | {"image/encoded": b""}, slim(1) | {"image/encoded": encoded()[:-10]}]
    assert findings(records)["broken_images"].count == 1
    finding = findings(records, decode=True)["broken_images"]
    assert finding.message == "2 images cannot be decoded."
    assert [(place.record, place.detail.partition(" ")[0]) for place in finding.places] == [
        (3, "empty"),
        (4, "truncated"),
    ]


def test_formats_that_tensorflow_does_not_decode_are_named(
    findings: Callable[..., dict[str, Finding]], slim: Slim, encoded: Callable[..., bytes]
) -> None:
    found = findings([slim(0), slim(1) | {"image/encoded": encoded("WEBP")}])
    assert set(found) == {"unknown_format"}
    assert found["unknown_format"].message == "1 image of the format WEBP, which TensorFlow does not decode."


def test_two_keys_that_could_be_the_image_are_named(
    findings: Callable[..., dict[str, Finding]], encoded: Callable[..., bytes]
) -> None:
    records = [{"photo": encoded(), "mask": encoded("PNG"), "label": number % 2} for number in range(4)]
    found = findings(records)
    assert set(found) == {"refused"}
    assert "mask and photo could each be an image: name one with --image_key" in found["refused"].message
    assert findings(records, told=RecordsAsTold(image_key="photo")) == {}


def test_damaged_records_are_listed(tmp_path: Path, write: Write, slim: Slim) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(0), slim(1), slim(0)])
    path.write_bytes(path.read_bytes()[:-20])
    (finding,) = inspect(tmp_path).findings
    assert (finding.check, finding.count) == ("damaged_records", 1)
    assert str(finding.places[0]).startswith("train.tfrecord, record 3: the file is truncated")


def test_an_unreadable_file_is_a_fault_and_the_others_are_read(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "x_train-00000-of-00002.tfrecord", [slim(0), slim(1)])
    (tmp_path / "x_train-00001-of-00002.tfrecord").symlink_to(tmp_path / "gone")
    inspection = inspect(tmp_path)
    assert inspection.num_images == 2
    (place,) = inspection.findings[0].places
    assert str(place) == "x_train-00001-of-00002.tfrecord: the file cannot be read (No such file or directory)"


def test_a_type_that_changes_is_named_once(findings: Callable[..., dict[str, Finding]], slim: Slim) -> None:
    found = findings([slim(0), slim(1), slim(1), slim(1) | {"image/class/label": b"dog"}])
    assert set(found) == {"mixed_types"}
    assert [place.record for place in found["mixed_types"].places] == [4]


def test_a_class_that_a_split_lacks_is_worth_a_note(findings: Callable[..., dict[str, Finding]], slim: Slim) -> None:
    found = findings([slim(0), slim(1)], labels="cat\ndog\nbird\n")
    assert found["missing_classes"].message == "Split train has no image of bird."
    assert not found["missing_classes"].is_fault


def test_records_that_are_not_those_of_info_json_are_a_fault(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "pets_train.tfrecord", [slim(0), slim(1), slim(1)])
    for counts, message in (
        ((2, 2), "says 4 images in split train, and there are 3 records"),
        ((2, 1), "2 images of 'cat'"),
    ):
        write_info(tmp_path, DatasetInfo("pets", ("cat", "dog"), {"train": SplitInfo(sum(counts), counts)}))
        (finding,) = inspect(tmp_path).findings
        assert finding.check == "counts_differ"
        assert message in finding.message


def test_a_split_of_info_json_without_files_is_a_fault(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "pets_train.tfrecord", [slim(0), slim(1)])
    splits = {"train": SplitInfo(2, (1, 1)), "test": SplitInfo(5)}
    write_info(tmp_path, DatasetInfo("pets", ("cat", "dog"), splits))
    (finding,) = inspect(tmp_path).findings
    assert "Unknown split 'test'" in finding.message
