"""Serialized ``tf.train.Example`` messages, read without TensorFlow: what is under which key.

https://protobuf.dev/programming-guides/encoding describes the bytes, tensorflow/core/example/feature.proto the
messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_KINDS = {1: "bytes", 2: "float", 3: "int"}


def features(record: bytes) -> dict[str, tuple[str, list[Any]]]:
    """Return the features of a record: key -> (``bytes``, ``float`` or ``int``, values). Empty keys are left out.

    Raises:
      ValueError: the bytes are no Example.
    """
    found = {}
    try:
        for number, map_of_features in _fields(record):
            for _, entry in _fields(map_of_features) if number == 1 else ():
                parts = dict(_fields(entry))
                for kind, values in _fields(parts.get(2, b"")):
                    found[parts.get(1, b"").decode()] = (_KINDS[kind], _values(kind, values))
    except (IndexError, KeyError, TypeError, struct.error, UnicodeDecodeError) as error:
        raise ValueError("the record is no tf.train.Example") from error
    return found


def _values(kind: int, data: bytes) -> list[Any]:
    if kind == 1:
        return [value for _, value in _fields(data)]
    values: list[Any] = []
    for _, value in _fields(data):
        if kind == 2:
            values += struct.unpack(f"<{len(value) // 4}f", value)
        elif isinstance(value, int):
            values.append(_signed(value))
        else:  # packed
            position = 0
            while position < len(value):
                number, position = _varint(value, position)
                values.append(_signed(number))
    return values


def _fields(data: Any) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each field: bytes, or an int for a varint."""
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        if kind == _LENGTH:
            length, position = _varint(data, position)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}[kind]
        if position + length > end:
            raise IndexError
        yield tag >> 3, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a number and the position after it."""
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
        if shift > 63:
            raise IndexError


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number
