from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow.compat.v1 as tf

from datasets.errors import DataError
from datasets.tfrecords import (
    frame,
    image_example,
    record_checksums,
    record_starts,
    scan_images,
    scan_records,
    write_records,
)


def test_an_example_holds_what_tensorflow_reads_back() -> None:
    example = tf.train.Example.FromString(image_example(b"\xff\xd8" * 500, "jpeg", 300, "猫", 48, 70_000, "猫/1.jpg"))
    values = {
        key: (feature.bytes_list.value or feature.int64_list.value)[0]
        for key, feature in example.features.feature.items()
    }
    assert values == {
        "image/encoded": b"\xff\xd8" * 500,
        "image/format": b"jpeg",
        "image/class/label": 300,
        "image/class/text": "猫".encode(),
        "image/height": 48,
        "image/width": 70_000,
        "image/filename": "猫/1.jpg".encode(),
    }


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 2**31, 2**62])
def test_whole_numbers_of_every_length_are_encoded_as_protocol_buffers_do(number: int) -> None:
    example = tf.train.Example.FromString(image_example(b"x", "png", 0, "a", number, 1, "a"))
    assert example.features.feature["image/height"].int64_list.value == [number]


def test_a_file_name_that_is_not_valid_unicode_is_stored_as_its_bytes() -> None:
    name = b"\xff\xfe.jpg".decode("utf-8", "surrogateescape")
    example = tf.train.Example.FromString(image_example(b"x", "png", 0, "a", 1, 1, name))
    assert example.features.feature["image/filename"].bytes_list.value == [b"\xff\xfe.jpg"]


def test_tensorflow_reads_our_files(tmp_path: Path) -> None:
    records = [b"", b"one", b"x" * 100_000]
    write_records(tmp_path / "a.tfrecord", records)
    assert list(tf.python_io.tf_record_iterator(str(tmp_path / "a.tfrecord"))) == records


def test_we_read_tensorflows_files_and_tell_where_each_record_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    with tf.python_io.TFRecordWriter(str(path)) as writer:
        for record in (b"one", b"", b"three"):
            writer.write(record)
    assert list(scan_records(path)) == [(0, b"one"), (19, b""), (35, b"three")]


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(b"")
    assert list(scan_records(tmp_path / "a.tfrecord")) == []


@pytest.mark.parametrize(("byte", "complaint"), [(19, "length"), (19 + 8, "length"), (19 + 13, "record is damaged")])
def test_a_flipped_bit_names_the_file_and_the_offset_of_its_record(tmp_path: Path, byte: int, complaint: str) -> None:
    path = tmp_path / "a.tfrecord"
    data = bytearray(frame(b"one") + frame(b"two"))
    data[byte] ^= 4
    path.write_bytes(data)
    records = scan_records(path)
    assert next(records) == (0, b"one")
    with pytest.raises(DataError, match=rf"a\.tfrecord, record at byte 19: .*{complaint}"):
        next(records)


@pytest.mark.parametrize("missing", [1, 5, 10, 18])
def test_a_file_cut_short_names_the_offset_of_its_last_record(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "a.tfrecord"
    path.write_bytes((frame(b"one") + frame(b"two"))[:-missing])
    with pytest.raises(DataError, match="record at byte 19: the file is truncated"):
        list(scan_records(path))


def test_a_missing_record_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.tfrecord"):
        list(scan_records(tmp_path / "gone.tfrecord"))


def test_checksums_are_those_that_frame_each_record(tmp_path: Path) -> None:
    records = [b"first", b"", b"third" * 10_000]
    write_records(tmp_path / "records", records)
    framed = [frame(record) for record in records]
    assert list(record_checksums(tmp_path / "records")) == [bytes_[:8] + bytes_[-4:] for bytes_ in framed]


@pytest.mark.parametrize("missing", [1, 4, 5, 10, 20])
def test_checksums_of_a_file_cut_short_are_refused(tmp_path: Path, missing: int) -> None:
    whole = frame(b"first") + frame(b"second")
    (tmp_path / "records").write_bytes(whole[:-missing])
    with pytest.raises(DataError, match="records: the file is truncated"):
        list(record_checksums(tmp_path / "records"))


def test_a_failure_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"one"
        raise RuntimeError("out of records")

    with pytest.raises(RuntimeError):
        write_records(tmp_path / "a.tfrecord", broken())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_reading_begins_at_any_record(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "records").write_bytes(pack(b"".join(map(frame, (b"a", b"bcd", b"")))))
    (_, second, third) = scan_records(tmp_path / "records")
    assert list(scan_records(tmp_path / "records", second[0])) == [second, third]


def test_records_begin_where_reading_finds_them(tmp_path: Path) -> None:
    write_records(tmp_path / "records", [b"a", b"bcd", b""])
    found = [offset for offset, _ in scan_records(tmp_path / "records")]
    size = (tmp_path / "records").stat().st_size
    assert list(record_starts(tmp_path / "records")) == [*found, size]
    assert list(record_starts(tmp_path / "records", found[1])) == [*found[1:], size]


def test_record_starts_end_before_a_record_that_is_cut_short_or_has_a_wrong_length(tmp_path: Path) -> None:
    write_records(tmp_path / "records", [b"a", b"bcd", b"e"])
    whole = (tmp_path / "records").read_bytes()
    starts = list(record_starts(tmp_path / "records"))
    (tmp_path / "records").write_bytes(whole[:-1])
    assert list(record_starts(tmp_path / "records")) == starts[:-1]
    (tmp_path / "records").write_bytes(whole[: starts[1]] + b"\xff" + whole[starts[1] + 1 :])
    assert list(record_starts(tmp_path / "records")) == starts[:2]


def test_images_of_several_files_come_in_order(tmp_path: Path) -> None:
    files = [tmp_path / "a.tfrecord", tmp_path / "b.tfrecord"]
    for file, contents in zip(files, ([b"1", b"2"], [b"3"]), strict=True):
        write_records(file, [image_example(content, "png", 0, "a", 1, 1, "a") for content in contents])
    assert list(scan_images(files, "image/encoded")) == [b"1", b"2", b"3"]
