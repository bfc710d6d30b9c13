"""Whether every offset in a TFLite file leads into the file, which TensorFlow's interpreter takes for granted.

The interpreter follows a damaged file into memory that is not the file's, and the process ends. The rules are those of
the verifier of FlatBuffers, which TensorFlow has in C++ only; the tables are those of TFLite's ``schema.fbs``, as far
as exports use them.
"""

from __future__ import annotations

import math
import struct
from typing import Any

_STRING = "a string"
# What the fields of each table hold that lead elsewhere, by number: a string, a table, (a list of a table,) or [a list
# of numbers of so many bytes].
_TABLES: dict[str, dict[int, Any]] = {
    "Model": {
        1: ("OperatorCode",),
        2: ("SubGraph",),
        3: _STRING,
        4: ("Buffer",),
        5: [4],
        6: ("Metadata",),
        7: ("SignatureDef",),
    },
    "OperatorCode": {1: _STRING},
    "SubGraph": {0: ("Tensor",), 1: [4], 2: [4], 3: ("Operator",), 4: _STRING},
    "Tensor": {0: [4], 3: _STRING, 4: "QuantizationParameters", 7: [4]},
    "QuantizationParameters": {0: [4], 1: [4], 2: [4], 3: [8]},
    "Operator": {1: [4], 2: [4], 5: [1], 7: [1], 8: [4]},  # And 4, its options.
    "Buffer": {0: [1]},
    "Metadata": {0: _STRING},
    "SignatureDef": {0: ("TensorMap",), 1: ("TensorMap",), 2: _STRING},
    "TensorMap": {0: _STRING},
    "options": {},
    "options with a list": {0: [4]},  # ReshapeOptions and SqueezeOptions.
}
_OPTIONS_WITH_A_LIST = (17, 30)
# Fields that lead elsewhere and that no export has: sparse weights, kinds of variants, quantization of other programs,
# options of StableHLO, weights behind the tables; of options, those of embeddings, variables and buckets.
_NOT_OF_EXPORTS = {"Tensor": (6, 9), "QuantizationParameters": (5,), "Operator": (12,), "Buffer": (1, 2)}
_OPTIONS_NOT_OF_EXPORTS = (3, 111, 115)
# Memory is taken for what a file says, not for what it holds. A layer of 64 channels of a megapixel has a quarter.
_MOST_NUMBERS_OF_A_TENSOR = 1 << 28
_MOST_DIMENSIONS = 8


def check_offsets(content: Any) -> None:
    """Walk through a TFLite model; the numbers of its weights are not touched.

    Args:
      content: the bytes of the file, or a map of it.

    Raises:
      ValueError: an offset leads out of the file or to what no export holds, or a tensor has more than 2^28
        numbers or 8 dimensions.
    """
    if bytes(content[4:8]) != b"TFL3":
        raise ValueError("it has no mark of TFLite")
    _Walk(content).table("Model", 0)


class _Walk:
    def __init__(self, content: Any) -> None:
        self._content = content
        self._seen: set[tuple[str, int]] = set()

    def table(self, kind: str, reference: int) -> None:
        """Check the table that the offset at a place leads to, and all that it leads to."""
        place = self._follow(reference)
        if (kind, place) in self._seen:
            return  # Writers let tables share what is equal; a walk that does not grow by it ends.
        self._seen.add((kind, place))
        fields = self._fields(place)
        if any(number in fields for number in _NOT_OF_EXPORTS.get(kind, ())):
            raise ValueError(f"a table {kind} holds what exports never write")
        for number, content in _TABLES[kind].items():
            if number not in fields:
                continue
            if isinstance(content, tuple):
                start, count = self._list(fields[number], 4)
                for index in range(count):
                    self.table(content[0], start + 4 * index)
            elif isinstance(content, list):
                self._list(fields[number], content[0])
            elif content == _STRING:
                start, count = self._list(fields[number], 1)
                if self._read("B", start + count) != 0:
                    raise ValueError("a string does not end")
            else:
                self.table(content, fields[number])
        if kind == "Operator" and 4 in fields:
            self._options(fields)
        if kind == "Tensor" and 0 in fields:
            self._shape(fields[0])

    def _options(self, fields: dict[int, int]) -> None:
        kind = self._read("B", fields[3]) if 3 in fields else 0
        if kind in _OPTIONS_NOT_OF_EXPORTS:
            raise ValueError("an operator has options that exports never write")
        self.table("options with a list" if kind in _OPTIONS_WITH_A_LIST else "options", fields[4])

    def _shape(self, reference: int) -> None:
        start, count = self._list(reference, 4)
        if count > _MOST_DIMENSIONS:
            raise ValueError(f"a tensor has {count} dimensions")
        numbers = math.prod(self._read("<i", start + 4 * index) for index in range(count))
        if abs(numbers) > _MOST_NUMBERS_OF_A_TENSOR:
            raise ValueError(f"a tensor has {numbers} numbers")

    def _fields(self, place: int) -> dict[int, int]:
        """Return where the fields of a table are that it has, by number."""
        directory = place - self._read("<i", place)
        directory_bytes, table_bytes = self._read("<H", directory), self._read("<H", directory + 2)
        if directory_bytes < 4 or directory_bytes % 2:
            raise ValueError("a table has no list of fields")
        self._read("B", place + table_bytes - 1)
        fields = {}
        for number in range((directory_bytes - 4) // 2):
            offset = self._read("<H", directory + 4 + 2 * number)
            if offset >= table_bytes:
                raise ValueError("a field is outside of its table")
            if offset:
                fields[number] = place + offset
        return fields

    def _list(self, reference: int, item_bytes: int) -> tuple[int, int]:
        start = self._follow(reference)
        count = self._read("<I", start)
        if start + 4 + count * item_bytes > len(self._content):
            raise ValueError("a list is longer than the file")
        return start + 4, count

    def _follow(self, reference: int) -> int:
        return reference + self._read("<I", reference)

    def _read(self, form: str, place: int) -> int:
        if not 0 <= place <= len(self._content) - struct.calcsize(form):
            raise ValueError(f"an offset leads to byte {place} of {len(self._content)}")
        return struct.unpack_from(form, self._content, place)[0]
