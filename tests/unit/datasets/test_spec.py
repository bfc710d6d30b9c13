from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.errors import DataError
from datasets.record_format import RecordFormat
from datasets.spec import DatasetInfo, SplitInfo, StoredRecords, read_info, read_labels, write_info, write_labels

_INFO = DatasetInfo(
    name="pets",
    labels=("cat", "dog"),
    splits={"train": SplitInfo(7, (4, 3)), "validation": SplitInfo(2, (1, 1))},
    image_sizes=((8, 12), (480, 640)),
    settings={"seed": 3, "num_shards": 1, "num_rejected": 0},
)


def _change(folder: Path, **values: object) -> None:
    """Write the folder of _INFO with some keys of info.json replaced; None removes a key."""
    write_info(folder, _INFO)
    content = json.loads((folder / "info.json").read_text()) | values
    kept = {key: value for key, value in content.items() if value is not None}
    (folder / "info.json").write_text(json.dumps(kept))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_info(tmp_path, _INFO)
    assert read_info(tmp_path) == _INFO
    assert read_info(tmp_path).num_classes == 2


def test_info_json_has_the_keys_that_old_readers_look_for(tmp_path: Path) -> None:
    write_info(tmp_path, _INFO)
    content = json.loads((tmp_path / "info.json").read_text())
    assert content["num_class"] == 2
    assert content["num_sample_train"] == 7
    assert content["num_sample_test"] == 0
    assert content["num_sample_validation"] == 2


def test_the_old_converters_info_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "info.json").write_text('{"num_class": 2, "num_sample_train": 70, "num_sample_test": 30}')
    (tmp_path / "labels.txt").write_text("0:angry\n1:happy\n")
    info = read_info(tmp_path)
    assert info.name is None
    assert info.labels == ("angry", "happy")
    assert info.splits == {"train": SplitInfo(70), "test": SplitInfo(30)}


def test_without_labels_txt_the_numbers_are_the_names(tmp_path: Path) -> None:
    (tmp_path / "info.json").write_text('{"num_class": 3, "num_sample_train": 70, "num_sample_test": 30}')
    assert read_info(tmp_path).labels == ("0", "1", "2")


def test_a_missing_info_json_says_that_no_data_set_is_finished_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"info\.json is missing.*download_and_convert_data"):
        read_info(tmp_path)


def test_broken_json_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "info.json").write_text('{"num_class": 2,')
    with pytest.raises(DataError, match=r"info\.json is not valid JSON"):
        read_info(tmp_path)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"num_class": "two"}, "num_class must be a whole number of at least 1, got 'two'"),
        ({"num_class": 0}, "num_class must be a whole number of at least 1, got 0"),
        ({"num_class": True}, "num_class must be a whole number"),
        ({"num_class": None}, "num_class is missing"),
        ({"num_class": 3}, r"num_class=3, and .*labels\.txt lists 2"),
        ({"num_sample_train": 7.5}, "num_sample_train must be a whole number of at least 0, got 7.5"),
        ({"num_sample_train": 8}, r"num_sample_train=8, and splits\.train says 7"),
        ({"name": 5}, "name must be text"),
        ({"splits": [1]}, "splits must map each split"),
        ({"splits": {"train": {"num_samples": 7, "class_counts": {"cat": 4, "dog": 4}}}}, "add up to 8"),
        (
            {"splits": {"train": {"num_samples": 7, "class_counts": {"cat": 4, "cow": 3}}}},
            r"cow, and labels\.txt lists",
        ),
        ({"splits": {"train": {"num_samples": 7, "class_counts": [4, 3]}}}, "class_counts of split train"),
        ({"image_sizes": {"smallest": [1, 2]}}, "image_sizes must give smallest and largest"),
        ({"settings": 7}, "settings an object"),
    ],
)
def test_a_wrong_info_json_is_an_error_that_names_file_and_value(tmp_path: Path, values: dict, complaint: str) -> None:
    _change(tmp_path, **values)
    with pytest.raises(DataError, match=complaint) as error:
        read_info(tmp_path)
    assert "info.json" in str(error.value)


def test_info_json_that_is_no_object_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "info.json").write_text("[1, 2]")
    with pytest.raises(DataError, match="must hold an object"):
        read_info(tmp_path)


def test_class_counts_go_by_name_not_by_their_order_in_the_file(tmp_path: Path) -> None:
    _change(tmp_path, splits={"train": {"num_samples": 7, "class_counts": {"dog": 3, "cat": 4}}})
    assert read_info(tmp_path).splits["train"].class_counts == (4, 3)


@pytest.mark.parametrize("names", [("a:b", "c"), (" a ", "b"), ("猫", "собака"), ("a\u2028b", "c\x85d")])
def test_class_names_of_any_kind_survive_labels_txt(tmp_path: Path, names: tuple[str, ...]) -> None:
    write_labels(tmp_path / "labels.txt", names)
    assert read_labels(tmp_path / "labels.txt") == names


def test_labels_txt_may_come_from_windows_and_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"1:dog\r\n0:cat\r\n")
    assert read_labels(tmp_path / "labels.txt") == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("cat\ndog\n", "line 1: expected 'LABEL:NAME', got 'cat'"),
        ("0:cat\n0:dog\n", "line 2: label 0 has a second name, 'dog'"),
        ("1:cat\n2:dog\n", "0 is missing"),
        ("0:cat\nx:dog\n", "line 2"),
    ],
)
def test_a_wrong_labels_txt_is_an_error_that_names_the_line(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "labels.txt").write_text(content)
    with pytest.raises(DataError, match=complaint):
        read_labels(tmp_path / "labels.txt")


def test_labels_that_cannot_be_written_leave_the_old_ones_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    write_labels(path, ["cat"])
    with pytest.raises(UnicodeEncodeError):
        write_labels(path, ["dog", "\udcff"])
    assert read_labels(path) == ("cat",)
    assert list(tmp_path.iterdir()) == [path]


def test_records_of_another_tool_are_read_back(tmp_path: Path) -> None:
    stored = StoredRecords(
        RecordFormat("photo", "kind", label_kind="text", compression="GZIP"), {"train": ("a/0", "b")}
    )
    info = DatasetInfo("pets", ("cat", "dog"), {"train": SplitInfo(3, (1, 2))}, records=stored)
    write_info(tmp_path, info)
    assert read_info(tmp_path) == info
