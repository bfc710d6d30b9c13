"""TFRecord files of tf.train.Examples, written and checked without TensorFlow.

Importing TensorFlow takes longer than converting FER2013, so the few bytes of wire format are written here. The framing
is TensorFlow's (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details), the Example that of
tensorflow/core/example/example.proto in protocol-buffer encoding.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import math
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import google_crc32c

from datasets.errors import DataError
from datasets.examples import features
from datasets.files import replacing
from datasets.storage import is_url, path_of

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8

# Protocol-buffer tags (field number << 3 | wire type 2, a length-delimited value).
_FEATURES = _MAP_ENTRY = _MAP_KEY = _LIST_VALUE = _BYTES_LIST = b"\x0a"
_MAP_VALUE = b"\x12"
_INT64_LIST = b"\x1a"


def image_example(
    encoded: bytes, image_format: str, label: int, text: str, height: int, width: int, filename: str
) -> bytes:
    """Return a serialized tf.train.Example of one image, with the keys of research/slim.

    Args:
      encoded: JPEG or PNG bytes.
      image_format: ``jpeg`` or ``png``.
      label: class index, from 0.
      text: class name.
      height: in pixels.
      width: in pixels.
      filename: where the image came from; names it in reports.
    """
    own = _entry("image/encoded", encoded) + _entry("image/filename", os.fsencode(filename))
    return _field(_FEATURES, own + _shared_entries(image_format, label, text, height, width))


@functools.lru_cache(maxsize=1024)
def _shared_entries(image_format: str, label: int, text: str, height: int, width: int) -> bytes:
    """Return the features that many images have in common: encoded once, they cost nothing."""
    features: dict[str, bytes | int] = {
        "image/class/label": label,
        "image/class/text": text.encode(),
        "image/format": image_format.encode(),
        "image/height": height,
        "image/width": width,
    }
    return b"".join(_entry(key, value) for key, value in features.items())


def frame(record: bytes) -> bytes:
    """Return the bytes that stand for ``record`` in a TFRecord file: length, checksum, record, checksum."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _FOOTER.pack(_masked_crc(length)), record, _FOOTER.pack(_masked_crc(record))))


def write_records(path: str | os.PathLike[str], records: Iterable[bytes]) -> None:
    """Write a TFRecord file, which appears under its name when it is complete."""
    with replacing(path_of(path)) as temporary, temporary.open("wb") as file:
        for record in records:
            file.write(frame(record))


def scan_records(path: str | os.PathLike[str], start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a TFRecord file, each with the byte offset at which it begins; checksums are checked.

    Args:
      path: the file.
      start: byte at which the first record to read begins; in a compressed file that of the unpacked bytes.

    Raises:
      DataError: the file cannot be read, is cut short, or a checksum is wrong; the message names file and offset.
    """
    offset = start
    try:
        with _open(path_of(path)) as (file, size):
            file.seek(start)
            while header := file.read(_HEADER.size):
                record = _read_body(file, header, size - offset, f"{path}, record at byte {offset}")
                yield offset, record
                offset += _HEADER.size + len(record) + _FOOTER.size
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the compressed file is damaged or truncated: {error}.") from error
    except OSError as error:
        raise DataError(f"Cannot read the record file {path}: {error.strerror}.") from error


def scan_images(files: Iterable[str | os.PathLike[str]], image_key: str) -> Iterator[bytes]:
    """Yield the encoded images of the records of some files, in order.

    Raises:
      DataError: a file cannot be read or is damaged.
      ValueError: a record is no Example.
      KeyError, IndexError: a record holds no image under ``image_key``.
    """
    for file in files:
        for _, record in scan_records(file):
            yield features(record)[image_key][1][0]


def compression_of(path: str | os.PathLike[str]) -> str:
    """Return how a TFRecord file is compressed, by its first bytes: "", GZIP or ZLIB."""
    with path_of(path).open("rb") as file:
        header = file.read(_HEADER.size)
    if _is_header(header):
        return ""
    if header.startswith(b"\x1f\x8b"):
        return "GZIP"
    return "ZLIB" if header[:1] == b"\x78" and int.from_bytes(header[:2], "big") % 31 == 0 else ""


def begins_like_records(path: str | os.PathLike[str]) -> bool:
    """Return whether the first bytes of a file are those of a TFRecord file, plain or compressed."""
    try:
        with path_of(path).open("rb") as file:
            header = file.read(_HEADER.size)
        return _is_header(header) or bool(compression_of(path))
    except OSError as error:
        raise DataError(f"Cannot read the record file {path}: {error.strerror}.") from error


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[IO[bytes], float]]:
    """Yield a file of plain records, and its size; infinity where it is compressed."""
    compression = compression_of(path)
    if compression == "ZLIB":
        yield io.BytesIO(zlib.decompress(path.read_bytes())), math.inf
    elif compression == "GZIP":
        with path.open("rb") as packed, gzip.open(packed) as unpacked:
            yield cast(IO[bytes], unpacked), math.inf
    else:
        with path.open("rb") as file:
            yield file, _size(file)


def _size(file: IO[bytes]) -> int:
    """Return the size of a file that was just opened."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def record_starts(path: str | os.PathLike[str], start: int = 0) -> Iterator[int]:
    """Yield the byte at which each record begins, by the lengths alone, and at last the end of the whole records.

    Ends at a record that is truncated or whose length is damaged. Of a compressed file nothing is known: ``start``
    alone.

    Args:
      path: the file.
      start: byte at which the first record begins.

    Raises:
      DataError: the file cannot be read.
    """
    try:
        yield start
        if compression_of(path):
            return
        with path_of(path).open("rb") as file:
            size, position = _size(file), start
            file.seek(start)
            while len(header := file.read(_HEADER.size)) == _HEADER.size:
                length, length_crc = _HEADER.unpack(header)
                position += _HEADER.size + length + _FOOTER.size
                if position > size or _masked_crc(header[:8]) != length_crc:
                    return
                yield position
                file.seek(position)
    except OSError as error:
        raise DataError(f"Cannot read the record file {path}: {error.strerror}.") from error


def record_checksums(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Length and checksum of each record of a TFRecord file, 12 bytes, without reading the records themselves.

    They tell one sound file from another in a small part of the time that reading takes; damage is not looked for. A
    file at a URL is read: to pass over a record is a request.

    Raises:
      DataError: the file cannot be read, or is truncated.
    """
    try:
        if is_url(path) or compression_of(path):
            for _, record in scan_records(path):
                yield struct.pack("<Q", len(record)) + _FOOTER.pack(_masked_crc(record))
            return
        with path_of(path).open("rb") as file:
            size = _size(file)
            while header := file.read(_HEADER.size):
                end_of_record = file.tell() + int.from_bytes(header[:8], "little")
                if end_of_record + _FOOTER.size > size:
                    raise DataError(f"{path}: the file is truncated; convert the data again.")
                file.seek(end_of_record)
                yield header[:8] + file.read(_FOOTER.size)
    except OSError as error:
        raise DataError(f"Cannot read the record file {path}: {error.strerror}.") from error


def _read_body(file: Any, header: bytes, remaining: float, where: str) -> bytes:
    cut_short = DataError(f"{where}: the file is truncated; convert the data again.")
    if len(header) < _HEADER.size:
        raise cut_short
    length, length_crc = _HEADER.unpack(header)
    if _masked_crc(header[:8]) != length_crc:
        raise DataError(f"{where}: the length's checksum is wrong, so the file is damaged or no TFRecord file.")
    if _HEADER.size + length + _FOOTER.size > remaining:
        raise cut_short
    record = file.read(length)
    footer = file.read(_FOOTER.size)
    if len(record) < length or len(footer) < _FOOTER.size:
        raise cut_short
    (record_crc,) = _FOOTER.unpack(footer)
    if _masked_crc(record) != record_crc:
        raise DataError(f"{where}: the checksum is wrong, so the record is damaged; convert the data again.")
    return record


def _is_header(header: bytes) -> bool:
    return len(header) == _HEADER.size and _masked_crc(header[:8]) == _HEADER.unpack(header)[1]


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _entry(key: str, value: bytes | int) -> bytes:
    """Return one scalar feature: bytes become a bytes_list, whole numbers an int64_list."""
    if isinstance(value, bytes):
        feature = _field(_BYTES_LIST, _field(_LIST_VALUE, value))
    else:
        feature = _field(_INT64_LIST, _field(_LIST_VALUE, _varint(value)))
    return _field(_MAP_ENTRY, _field(_MAP_KEY, key.encode()) + _field(_MAP_VALUE, feature))


def _field(tag: bytes, payload: bytes) -> bytes:
    return tag + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    if number < 0x80:
        return bytes((number,))
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
