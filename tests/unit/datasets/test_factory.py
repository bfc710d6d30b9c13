from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.errors import DataError
from datasets.factory import get_dataset
from datasets.spec import DatasetInfo, SplitInfo, write_info


def _folder(path: Path, *file_names: str, name: str | None = "pets") -> Path:
    write_info(path, DatasetInfo(name, ("cat", "dog"), {"train": SplitInfo(7, (4, 3)), "test": SplitInfo(2)}))
    for file_name in file_names:
        (path / file_name).write_bytes(b"")
    return path


def test_a_split_is_described_by_what_is_on_disk(tmp_path: Path) -> None:
    _folder(tmp_path, "pets_train.tfrecord", "pets_test.tfrecord")
    spec = get_dataset("pets", "train", tmp_path)
    assert spec.files == (str(tmp_path / "pets_train.tfrecord"),)
    assert (spec.name, spec.split_name, spec.num_classes, spec.num_samples) == ("pets", "train", 2, 7)
    assert (spec.labels, spec.class_counts) == (("cat", "dog"), (4, 3))
    assert get_dataset("pets", "test", tmp_path).class_counts is None


@pytest.mark.parametrize("separator", ["-", "_"])  # ours, and research/slim's
def test_shards_are_listed_in_order(tmp_path: Path, separator: str) -> None:
    names = [f"pets_train{separator}0000{shard}-of-00003.tfrecord" for shard in (2, 0, 1)]
    _folder(tmp_path, *names)
    assert [Path(file).name for file in get_dataset("pets", "train", tmp_path).files] == sorted(names)


def test_without_a_name_info_json_says_it(tmp_path: Path) -> None:
    assert get_dataset(None, "train", _folder(tmp_path, "pets_train.tfrecord")).name == "pets"


def test_without_a_name_an_old_folders_files_say_it(tmp_path: Path) -> None:
    assert get_dataset(None, "train", _folder(tmp_path, "fer_train.tfrecord", name=None)).name == "fer"


def test_two_old_data_sets_in_a_folder_must_be_told_apart(tmp_path: Path) -> None:
    _folder(tmp_path, "fer_train.tfrecord", "mnist_train.tfrecord", name=None)
    with pytest.raises(DataError, match="several data sets: fer, mnist"):
        get_dataset(None, "train", tmp_path)
    assert get_dataset("mnist", "train", tmp_path).name == "mnist"


def test_an_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    _folder(tmp_path, "pets_train.tfrecord")
    with pytest.raises(DataError, match=r"Unknown data set 'pet' in .*Did you mean pets\? Valid: pets"):
        get_dataset("pet", "train", tmp_path)


def test_an_unknown_split_lists_what_there_is_nearest_first(tmp_path: Path) -> None:
    _folder(tmp_path, "pets_train.tfrecord", "pets_test.tfrecord")
    with pytest.raises(DataError, match=r"Unknown split 'tests' .*Did you mean test\? Valid: test, train"):
        get_dataset("pets", "tests", tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone does not exist"):
        get_dataset("pets", "train", tmp_path / "gone")


def test_a_folder_without_record_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Valid: none"):
        get_dataset(None, "train", _folder(tmp_path))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    _folder(tmp_path, "pets_train-00000-of-00003.tfrecord", "pets_train-00002-of-00003.tfrecord")
    with pytest.raises(DataError, match="2 of 3 shards .* shard 00001 is missing"):
        get_dataset("pets", "train", tmp_path)


@pytest.mark.parametrize("other", ["pets_train.tfrecord", "pets_train-00000-of-00002.tfrecord"])
def test_files_of_two_conversions_side_by_side_are_refused(tmp_path: Path, other: str) -> None:
    _folder(tmp_path, "pets_train-00000-of-00001.tfrecord", other)
    with pytest.raises(DataError, match="two conversions side by side"):
        get_dataset("pets", "train", tmp_path)


def test_a_split_whose_size_info_json_does_not_say_is_refused(tmp_path: Path) -> None:
    _folder(tmp_path, "pets_validation.tfrecord")
    with pytest.raises(DataError, match="num_sample_validation is missing or 0"):
        get_dataset("pets", "validation", tmp_path)


def test_imagenet_records_of_research_slim_need_no_info_json(tmp_path: Path) -> None:
    for shard in range(2):
        (tmp_path / f"validation-0000{shard}-of-00002").write_bytes(b"")
    spec = get_dataset("imagenet", "validation", tmp_path)
    assert (len(spec.files), spec.num_classes, spec.num_samples) == (2, 1001, 50_000)
    assert spec.labels[1000] == "1000"


def test_imagenet_in_our_own_form_says_its_own_size(tmp_path: Path) -> None:
    _folder(tmp_path, "imagenet_train.tfrecord", name="imagenet")
    assert get_dataset("imagenet", "train", tmp_path).num_samples == 7


def test_a_folder_whose_conversion_was_killed_holds_no_data_set(tmp_path: Path) -> None:
    _folder(tmp_path, "pets_train.tfrecord")
    (tmp_path / "info.json").unlink()
    with pytest.raises(DataError, match=r"info\.json is missing"):
        get_dataset("pets", "train", tmp_path)


def test_an_info_json_that_disagrees_with_labels_txt_is_refused(tmp_path: Path) -> None:
    _folder(tmp_path, "pets_train.tfrecord")
    content = json.loads((tmp_path / "info.json").read_text())
    (tmp_path / "info.json").write_text(json.dumps(content | {"num_class": 8}))
    with pytest.raises(DataError, match=r"num_class=8, and .*labels\.txt lists 2 classes"):
        get_dataset("pets", "train", tmp_path)
