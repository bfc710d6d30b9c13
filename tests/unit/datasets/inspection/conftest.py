"""Record files with any keys, without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from datasets.tfrecords import frame

# A value is one number or bytes, or a list of them.
Values = Mapping[str, Any]


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _field(tag: int, payload: bytes) -> bytes:
    return bytes([tag]) + _varint(len(payload)) + payload


def _feature(value: Any) -> bytes:
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], bytes):
        return _field(0x0A, b"".join(_field(0x0A, entry) for entry in values))
    if isinstance(values[0], float):
        return _field(0x12, _field(0x0A, struct.pack(f"<{len(values)}f", *values)))
    return _field(0x1A, _field(0x0A, b"".join(map(_varint, values))))


def _example(values: Values) -> bytes:
    entries = (_field(0x0A, key.encode()) + _field(0x12, _feature(value)) for key, value in values.items())
    return _field(0x0A, b"".join(_field(0x0A, entry) for entry in entries))


def _write(path: Path, records: Iterable[Values], pack: Callable[[bytes], bytes] = bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(b"".join(frame(_example(values)) for values in records)))
    return path


@pytest.fixture
def write() -> Callable[..., Path]:
    """``write(path, [{"image": b"...", "label": 1}, ...], pack)``: a record file, compressed by ``pack``."""
    return _write


@pytest.fixture
def slim(encoded: Callable[..., bytes]) -> Callable[..., dict[str, Any]]:
    """``slim(label, shift)``: the keys and values of a record as research/slim writes it."""

    def make(label: int, shift: int = 0) -> dict[str, Any]:
        image = encoded(shift=shift)
        return {"image/encoded": image, "image/format": b"jpeg", "image/class/label": label}

    return make
