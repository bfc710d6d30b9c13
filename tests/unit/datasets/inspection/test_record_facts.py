"""One reading of records."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets.inspection.record_facts import RecordChunk, RecordFacts, chunks_of, merge_chunks, read_chunk
from datasets.scan import scan_file
from datasets.tfrecords import record_starts

Write = Callable[..., Path]
Slim = Callable[..., dict[str, Any]]


def _facts(path: Path, chunk_bytes: int = 2**20, **options: Any) -> RecordFacts:
    chunks = list(chunks_of(path, chunk_bytes, options.get("decode", False), options.get("per_value", 2)))
    return merge_chunks([read_chunk(chunk) for chunk in chunks], options.get("per_value", 2))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress], ids=["plain", "gzip", "zlib"])
def test_the_keys_are_those_of_the_scan_that_training_makes(
    tmp_path: Path, write: Write, slim: Slim, pack: Callable[[bytes], bytes]
) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(label % 3, label) for label in range(9)], pack)
    assert _facts(path).scan == scan_file(path)


def test_a_file_read_in_chunks_has_the_facts_of_the_file_read_at_once(tmp_path: Path, write: Write, slim: Slim) -> None:
    records = [slim(number % 3, number) | ({"weight": [0.5, 1.5]} if number % 2 else {}) for number in range(20)]
    records[7]["image/encoded"] = b""
    records[12]["image/encoded"] = b"not an image, though it is as long as one" * 9
    path = write(tmp_path / "train.tfrecord", records)
    in_chunks, at_once = _facts(path, chunk_bytes=1500), _facts(path)
    assert len(list(chunks_of(path, 1500, False, 2))) > 5
    assert in_chunks == at_once
    assert at_once.bad == {"image/encoded": [(8, "empty"), (13, "not an image")]}
    assert at_once.lacking == {"weight": [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]}


def test_a_key_that_comes_late_is_lacking_before(tmp_path: Path, write: Write, slim: Slim) -> None:
    path = write(tmp_path / "train.tfrecord", [*[slim(0)] * 6, slim(0) | {"late": 1}, slim(0)])
    assert _facts(path).lacking == _facts(path, chunk_bytes=800).lacking == {"late": [1, 2, 3, 4, 5, 6, 8]}


def test_the_first_records_of_each_label_are_remembered_with_their_place(
    tmp_path: Path, write: Write, slim: Slim
) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(label, label) for label in (4, 5, 4, 4, 5)])
    starts = list(record_starts(path))
    assert _facts(path, per_value=2).seen["image/class/label"] == {
        "4": [(1, starts[0]), (3, starts[2])],
        "5": [(2, starts[1]), (5, starts[4])],
    }


def test_of_many_labels_no_more_records_are_remembered_than_are_shown(tmp_path: Path, write: Write, slim: Slim) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(number % 150, number % 150) for number in range(450)])
    assert {len(places) for places in _facts(path, per_value=3).seen["image/class/label"].values()} == {1}
    path = write(tmp_path / "test.tfrecord", [slim(number % 90, number % 90) for number in range(450)])
    assert {len(places) for places in _facts(path, per_value=3).seen["image/class/label"].values()} == {2}


def test_a_one_hot_label_is_the_place_of_its_one(tmp_path: Path, write: Write, encoded: Callable[..., bytes]) -> None:
    path = write(tmp_path / "train.tfrecord", [{"image": encoded(), "label": [0, 1, 0]}])
    assert list(_facts(path).seen["label"]) == ["1"]


def test_after_a_wrong_checksum_the_other_records_are_read(tmp_path: Path, write: Write, slim: Slim) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(label, label) for label in range(5)])
    data = bytearray(path.read_bytes())
    data[list(record_starts(path))[2] - 9] ^= 0xFF
    path.write_bytes(data)
    facts = _facts(path)
    assert facts.scan.records == 4
    (damage,) = facts.damage
    assert damage[0] == 2
    assert damage[1].startswith("the checksum is wrong")
    assert list(facts.seen["image/class/label"]) == ["0", "2", "3", "4"]
    assert facts.seen["image/class/label"]["2"][0][0] == 3
    assert not facts.is_whole


@pytest.mark.parametrize("chunk_bytes", [2**20, 800])
def test_a_truncated_file_is_read_up_to_its_last_whole_record(
    tmp_path: Path, write: Write, slim: Slim, chunk_bytes: int
) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(label, label) for label in range(5)])
    path.write_bytes(path.read_bytes()[:-20])
    facts = _facts(path, chunk_bytes)
    assert facts.scan.records == 4
    assert [number for number, _ in facts.damage] == [5]
    assert "truncated" in facts.damage[0][1]


def test_after_a_wrong_length_nothing_is_read(tmp_path: Path, write: Write, slim: Slim) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(label, label) for label in range(5)])
    data = bytearray(path.read_bytes())
    data[list(record_starts(path))[2]] ^= 0xFF
    path.write_bytes(data)
    facts = _facts(path)
    assert facts.scan.records == 2
    assert facts.damage[0][0] == 3
    assert facts.damage[0][1].endswith("What follows in this file is not read")


def test_a_record_that_is_no_example_is_damage(tmp_path: Path, write: Write, slim: Slim) -> None:
    from datasets.tfrecords import frame

    path = write(tmp_path / "train.tfrecord", [slim(0)])
    path.write_bytes(frame(b"\xff\xff\xff") + path.read_bytes())
    facts = _facts(path)
    assert [number for number, _ in facts.damage] == [1]
    assert facts.scan.records == 1


@pytest.mark.parametrize("chunk_bytes", [2**20, 400])
def test_a_key_that_changes_its_type_is_found(tmp_path: Path, write: Write, slim: Slim, chunk_bytes: int) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(0), slim(1), slim(1) | {"image/class/label": b"dog"}])
    assert _facts(path, chunk_bytes).mixed == {"image/class/label": 3}


def test_headers_do_not_show_a_truncated_image_and_decoding_does(
    tmp_path: Path, write: Write, slim: Slim, encoded: Callable[..., bytes]
) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(0), slim(0) | {"image/encoded": encoded()[:-10]}])
    assert "image/encoded" not in _facts(path).bad
    ((number, reason),) = _facts(path, decode=True).bad["image/encoded"]
    assert number == 2
    assert reason.startswith("truncated")


def test_a_class_called_bmw_is_no_image(tmp_path: Path, write: Write, encoded: Callable[..., bytes]) -> None:
    path = write(tmp_path / "train.tfrecord", [{"image": encoded(), "label": b"BMW"}])
    assert list(_facts(path).stats) == ["image"]


def test_names_that_are_unique_are_not_taken_for_classes(tmp_path: Path, write: Write) -> None:
    path = write(
        tmp_path / "train.tfrecord", [{"name": f"{number}".encode(), "label": number % 2} for number in range(1100)]
    )
    assert list(_facts(path).seen) == ["label"]


def test_facts_are_the_same_after_json(tmp_path: Path, write: Write, slim: Slim) -> None:
    path = write(tmp_path / "train.tfrecord", [slim(0), slim(1) | {"image/encoded": b""}, {"x": 1.5}])
    facts = read_chunk(RecordChunk(str(path), per_value=2))
    again = RecordFacts.from_json(json.loads(json.dumps(facts.as_json())))
    assert again.as_json() == json.loads(json.dumps(facts.as_json()))
    assert again.stats == facts.stats
