"""info.json and labels.txt of records that were inspected."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets import tfrecords
from datasets.errors import DataError
from datasets.factory import get_dataset, split_files
from datasets.foreign import RecordsAsTold
from datasets.inspection.inspect import inspect
from datasets.inspection.write_info import write_info_of
from datasets.spec import DatasetInfo, SplitInfo, read_info, write_info

Write = Callable[..., Path]
Slim = Callable[..., dict[str, Any]]

assert write_info_of  # through inspect(write_info=True), as users reach it


@pytest.fixture
def foreign(tmp_path: Path, write: Write, encoded: Callable[..., bytes]) -> Path:
    """Records under keys and names of their own, with class names as labels."""
    names = (b"dog", b"cat", b"dog")
    for file in ("part-0.train", "part-1.train", "part-0.test"):
        write(tmp_path / file, [{"photo": encoded(shift=n), "kind": name} for n, name in enumerate(names)])
    return tmp_path


def test_records_of_another_tool_open_with_info_json_as_they_did_when_told(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = RecordsAsTold("part-*.%s", text_key="kind")
    before = {split: get_dataset(None, split, foreign, told=told) for split in ("train", "test")}
    inspection = inspect(foreign, told=told, write_info=True)
    assert inspection.written == (str(foreign / "info.json"), str(foreign / "labels.txt"))
    assert not inspection.findings
    monkeypatch.setattr(tfrecords, "scan_records", None)  # reading is an error from here on
    for split, spec in before.items():
        assert get_dataset(None, split, foreign) == dataclasses.replace(spec, file_pattern=None)


def test_the_folder_is_inspected_by_its_info_json_afterwards(foreign: Path) -> None:
    inspect(foreign, told=RecordsAsTold("part-*.%s", text_key="kind"), write_info=True)
    again = inspect(foreign)
    assert (again.kind, again.labels, again.findings) == ("converted", ("cat", "dog"), ())
    assert again.splits["train"].class_counts == (2, 4)


def test_the_files_of_a_split_are_those_that_info_json_names(foreign: Path) -> None:
    inspect(foreign, told=RecordsAsTold("part-*.%s", text_key="kind"), write_info=True)
    assert split_files(None, "train", foreign) == [foreign / "part-0.train", foreign / "part-1.train"]
    assert split_files(None, "validation", foreign) == []


def test_records_as_converted_here_need_no_more_than_their_counts(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "pets_train.tfrecord", [slim(0), slim(1), slim(1)])
    inspect(tmp_path, "pets", write_info=True)
    content = json.loads((tmp_path / "info.json").read_text())
    assert "records" not in content
    assert (content["num_class"], content["num_sample_train"]) == (2, 3)
    assert content["image_sizes"] == {"smallest": [8, 12], "largest": [8, 12]}
    assert get_dataset("pets", "train", tmp_path).class_counts == (1, 2)


def test_a_wrong_info_json_is_corrected_and_keeps_its_settings(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "pets_train.tfrecord", [slim(0), slim(1), slim(1)])
    write_info(tmp_path, DatasetInfo("pets", ("cat", "dog"), {"train": SplitInfo(9)}, settings={"seed": 3}))
    assert [finding.check for finding in inspect(tmp_path).findings] == ["counts_differ"]
    assert inspect(tmp_path, write_info=True).findings == ()
    info = read_info(tmp_path)
    assert (info.splits["train"].class_counts, info.settings) == ((1, 2), {"seed": 3})


def test_nothing_is_written_while_records_have_faults(tmp_path: Path, write: Write, slim: Slim) -> None:
    write(tmp_path / "train.tfrecord", [slim(0), slim(1), slim(8)])
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    inspection = inspect(tmp_path, write_info=True)
    assert "info.json was not written" in inspection.findings[-1].message
    assert not inspection.written
    assert not (tmp_path / "info.json").exists()
    assert (tmp_path / "labels.txt").read_text() == "cat\ndog\n"


def test_a_record_file_that_info_json_names_and_that_is_gone_is_an_error(foreign: Path) -> None:
    inspect(foreign, told=RecordsAsTold("part-*.%s", text_key="kind"), write_info=True)
    (foreign / "part-1.train").unlink()
    with pytest.raises(DataError, match=r"info.json names the record file part-1.train, which is missing"):
        get_dataset(None, "train", foreign)


@pytest.mark.parametrize(
    "records",
    [
        [], {}, {"files": {"train": ["../elsewhere"]}}, {"files": {"train": ["/etc/passwd"]}},
        {"files": {"train": []}, "image_key": 3}, {"files": {}, "unknown": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_an_info_json_with_other_records_is_refused(foreign: Path, records: Any) -> None:
    inspect(foreign, told=RecordsAsTold("part-*.%s", text_key="kind"), write_info=True)
    content = json.loads((foreign / "info.json").read_text())
    (foreign / "info.json").write_text(json.dumps({**content, "records": records}))
    with pytest.raises(DataError, match="records must name the keys"):
        read_info(foreign)
