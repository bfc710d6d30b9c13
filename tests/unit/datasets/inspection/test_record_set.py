"""Which record files there are, and what training makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets import tfrecords
from datasets.errors import DataError
from datasets.factory import get_dataset
from datasets.foreign import RecordsAsTold
from datasets.inspection.record_facts import RecordChunk, read_chunk
from datasets.inspection.record_set import RecordSet, find_records, open_records

Write = Callable[..., Path]
Slim = Callable[..., dict[str, Any]]


def _open(folder: Path, **told: Any) -> RecordSet:
    files = find_records(folder, told.pop("name", None), RecordsAsTold(**told))
    assert files
    facts = {path: read_chunk(RecordChunk(str(path), per_value=2)) for path in files.all}
    return open_records(files, facts, RecordsAsTold(**told))


def test_splits_are_found_by_the_names_of_the_files_train_first(tmp_path: Path, write: Write, slim: Slim) -> None:
    for name in ("test.tfrecord", "train-00000-of-00001", "val.tfrecord.gz", "notes.txt"):
        write(tmp_path / name, [slim(0)])
    files = find_records(tmp_path, None, RecordsAsTold())
    assert files
    assert list(files.splits) == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("pattern", "splits"), [("part-*.%s", ["train", "test"]), ("part-*", ["train"])], ids=["split named", "one split"]
)
def test_a_pattern_names_the_files(tmp_path: Path, write: Write, slim: Slim, pattern: str, splits: list[str]) -> None:
    for name in ("part-0.train", "part-1.train", "part-0.test"):
        write(tmp_path / name, [slim(0), slim(1)])
    files = find_records(tmp_path, None, RecordsAsTold(pattern))
    assert files
    assert list(files.splits) == splits


def test_a_file_that_a_pattern_matches_with_two_names_is_in_the_split_of_the_longer(
    tmp_path: Path, write: Write, slim: Slim
) -> None:
    for name in ("train-0", "validation-0"):
        write(tmp_path / name, [slim(0), slim(1)])
    files = find_records(tmp_path, None, RecordsAsTold("%s*"))
    assert files
    assert {split: [path.name for path in paths] for split, paths in files.splits.items()} == {
        "train": ["train-0"],
        "validation": ["validation-0"],
    }


def test_a_pattern_that_nothing_matches_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--file_pattern=a-%s: no file of .* matches it"):
        find_records(tmp_path, None, RecordsAsTold("a-%s"))


def test_several_data_sets_are_an_error_until_one_is_named(tmp_path: Path, write: Write, slim: Slim) -> None:
    for name in ("a_train.tfrecord", "b_train.tfrecord"):
        write(tmp_path / name, [slim(0)])
    with pytest.raises(DataError, match="several data sets: a, b; name one with --dataset_name"):
        find_records(tmp_path, None, RecordsAsTold())
    files = find_records(tmp_path, "b", RecordsAsTold())
    assert files
    assert [path.name for path in files.all] == ["b_train.tfrecord"]
    with pytest.raises(DataError, match="Unknown data set 'c'"):
        find_records(tmp_path, "c", RecordsAsTold())


def test_split_folders_of_classes_are_no_record_files(tmp_path: Path) -> None:
    (tmp_path / "train" / "cat").mkdir(parents=True)
    assert find_records(tmp_path, None, RecordsAsTold()) is None


def test_what_training_opens_is_opened_the_same(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "train.tfrecord", [slim(label) for label in (0, 1, 2)])
    (tmp_path / "labels.txt").write_text("cat\ndog\nbird\n")
    opened = _open(tmp_path)
    spec = get_dataset(None, "train", tmp_path)
    assert (opened.labels, opened.formats, opened.refusals) == (spec.labels, {"train": spec.records}, ())


def test_training_need_not_read_records_that_were_inspected(
    tmp_path: Path, write: Write, slim: Slim, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "train.tfrecord", [slim(0), slim(1)])
    _open(tmp_path)
    monkeypatch.setattr(tfrecords, "scan_records", None)  # reading is an error from here on
    assert get_dataset(None, "train", tmp_path).num_samples == 2


def test_labels_out_of_range_are_refused_and_the_classes_are_those_of_the_file(
    tmp_path: Path, write: Write, slim: Slim
) -> None:
    write(tmp_path / "train.tfrecord", [slim(label) for label in (0, 1, 7)])
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    opened = _open(tmp_path)
    assert opened.labels == ("cat", "dog")
    assert "labels run from 0 to 7" in opened.refusals[0]


def test_two_images_are_refused_and_leave_the_format_open(
    tmp_path: Path, write: Write, encoded: Callable[..., bytes]
) -> None:
    write(tmp_path / "train.tfrecord", [{"photo": encoded(), "mask": encoded("PNG"), "label": n % 2} for n in range(4)])
    opened = _open(tmp_path)
    assert opened.formats == {"train": None}
    assert opened.labels == ()
    assert "mask and photo could each be an image: name one with --image_key" in opened.refusals[0]
    assert _open(tmp_path, image_key="photo").refusals == ()


def test_features_json_names_the_keys_of_records_with_faults(
    tmp_path: Path, write: Write, encoded: Callable[..., bytes]
) -> None:
    records = [{"photo": encoded(), "mask": encoded("PNG"), "kind": number % 2, "size": 3} for number in range(4)]
    write(tmp_path / "train.tfrecord", [*records, {**records[0], "kind": 7}])
    label = {"pythonClassName": "tfds.features.ClassLabel", "classLabel": {"numClasses": "2"}}
    content = {"features": {"photo": {"pythonClassName": "tfds.features.Image"}, "kind": label}}
    (tmp_path / "features.json").write_text(json.dumps({"featuresDict": content}))
    (tmp_path / "kind.labels.txt").write_text("cat\ndog\n")
    opened = _open(tmp_path)
    assert opened.refusals
    assert opened.formats["train"]
    assert (opened.formats["train"].image_key, opened.formats["train"].label_key) == ("photo", "kind")
    assert opened.labels == ("cat", "dog")


def test_a_few_records_without_image_do_not_hide_what_the_others_hold(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "train.tfrecord", [slim(0), slim(1), slim(1), {"image/class/label": 1}])
    opened = _open(tmp_path)
    assert opened.refusals
    assert opened.formats["train"]
    assert opened.formats["train"].image_key == "image/encoded"
    assert opened.labels == ("0", "1")


def test_labels_from_one_are_refused_until_told(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "train.tfrecord", [slim(1), slim(2)])
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    assert "--labels_offset=1" in _open(tmp_path).refusals[0]
    opened = _open(tmp_path, labels_offset=1)
    assert (opened.labels, opened.refusals) == (("background", "cat", "dog"), ())


def test_a_missing_shard_is_refused_once(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "x_train-00000-of-00002.tfrecord", [slim(0), slim(1)])
    (refusal,) = _open(tmp_path).refusals
    assert "shard 00001 is missing" in refusal


def test_a_broken_info_json_is_refused_and_the_files_are_opened(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "x_train.tfrecord", [slim(0), slim(1)])
    (tmp_path / "info.json").write_text("{")
    opened = _open(tmp_path)
    assert "is not valid JSON" in opened.refusals[0]
    assert opened.labels == ("0", "1")
