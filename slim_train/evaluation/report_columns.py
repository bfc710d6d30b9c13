"""The columns that accuracy is reported by: sizes of images, and what a user's table says of them. No TensorFlow."""

from __future__ import annotations

import csv
import logging
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets import images
from datasets.storage import path_of
from slim_train.errors import UsageError
from slim_train.evaluation.accuracy_by import MOST_VALUES, AccuracyBy, Group, rounded
from slim_train.evaluation.predictions_csv import COLUMNS, as_written
from slim_train.evaluation.read_predictions import hash_of

log = logging.getLogger(__name__)

_FILE = COLUMNS[0]
_MOST_ROWS, _MOST_COLUMNS = 20_000_000, 100
_DEFAULT = "short_side"
# Of an image as the records hold it: its height and width in pixels, and its bytes.
_OF_IMAGES = {
    _DEFAULT: lambda height, width, size: min(height, width),
    "height": lambda height, width, size: height,
    "width": lambda height, width, size: width,
    "aspect_ratio": lambda height, width, size: round(width / height, 2),
    "kilobytes": lambda height, width, size: round(size / 1000, 1),
}


class ReportColumns:
    """Counts the images of an evaluation by several columns.

    Args:
      names: of the columns, each ``short_side``, ``height``, ``width``, ``aspect_ratio``, ``kilobytes``, or one of
        ``table``.
      table: what a user says of the images.
    """

    def __init__(self, names: Sequence[str], table: ColumnTable | None = None) -> None:
        in_table = table.names if table else ()
        self._of_table = [(name, in_table.index(name), AccuracyBy()) for name in names if name in in_table]
        self._of_images = [(_OF_IMAGES[name], AccuracyBy()) for name in names if name not in in_table]
        self._names, self._table = tuple(names), table
        self._missing: list[str] = []
        self._num_missing = self._num_images = 0

    def add(self, batch: Mapping[str, Any], files: Sequence[str], predicted: NDArray[Any]) -> None:
        """Count a batch.

        Args:
          batch: with ``encoded`` images and the true ``label`` of each.
          files: their names.
          predicted: their predicted classes.
        """
        is_correct = (np.asarray(batch["label"]) == predicted).tolist()
        for encoded, file, correct in zip(batch["encoded"], files, is_correct, strict=True):
            self._num_images += 1
            if self._of_images:
                self._add_image(encoded, correct)
            if self._of_table and self._table:
                self._add_row(self._table, file, correct)

    def result(self) -> dict[str, tuple[Group, ...]]:
        """Return the groups of each column, in their order, without columns that name each image (logged)."""
        if self._missing and self._table:
            log.warning(
                "--report_columns=%s lacks %s of %s images, such as %s; its files are named such as %s.",
                self._table.path, f"{self._num_missing:,}", f"{self._num_images:,}", self._missing[0],
                self._table.example,
            )  # fmt: skip
        counters = {name: counter for name, _, counter in self._of_table}
        image_names = [name for name in self._names if name not in counters]
        counters |= {name: counter for name, (_, counter) in zip(image_names, self._of_images, strict=True)}
        too_many = self._table.too_many if self._table else ()
        found = {name: () if name in too_many else counters[name].groups() for name in self._names}
        for name, groups in found.items():
            if not groups and self._num_images:
                log.warning("Accuracy by %s is not reported: nearly each image has its own value.", name)
        return {name: groups for name, groups in found.items() if groups}

    def _add_image(self, encoded: bytes, correct: bool) -> None:
        try:
            height, width = images.size_of(encoded)
        except images.ImageRejected:  # raw pixels, or a format that TensorFlow alone reads
            for _, counter in self._of_images:
                counter.add("", correct)
            return
        for value_of, counter in self._of_images:
            counter.add(value_of(height, width, len(encoded)), correct)

    def _add_row(self, table: ColumnTable, file: str, correct: bool) -> None:
        values = table.values(file)
        if values is None:
            self._num_missing += 1
            self._missing = self._missing or [file]
        for _, place, counter in self._of_table:
            counter.add(values[place] if values else "", correct)


class _Column:
    """The different texts of a column, and the number of one of them for each row.

    Beyond :data:`MOST_VALUES` texts further numbers are rounded. Beyond twice as many the column is given up, and all
    its texts are empty.
    """

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        self.codes = array("i")
        self.is_given_up = False

    def add(self, text: str) -> None:
        if self.is_given_up:
            text = ""
        elif len(self.texts) >= MOST_VALUES and text not in self.texts:
            text = str(rounded(text))
        self.codes.append(self.texts.setdefault(text, len(self.texts)))
        if len(self.texts) > 2 * MOST_VALUES:
            self.is_given_up, self.texts = True, {"": 0}
            self.codes = array("i", bytes(self.codes.itemsize * len(self.codes)))


class ColumnTable:
    """Columns of a CSV file by the name of an image, in 8 bytes a row and 4 a value, and a bounded number of texts.

    Args:
      path: the file. Its column ``file`` names images as predictions_<split>.csv does.

    Attributes:
      path: of the file.
      names: of its columns, but those that predictions_<split>.csv has.
      too_many: names of the columns with too many different texts; their values are "".
      example: one of its file names.

    Raises:
      UsageError: the file cannot be read, lacks the column, or names an image twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        keys = array("Q")
        self.example = ""
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.reader(file)
                head = next(rows, [])
                self.names, places = self._columns(head)
                columns = [_Column() for _ in places]
                name_place = head.index(_FILE)
                for row in rows:
                    if not row:
                        continue
                    if len(row) != len(head):
                        raise UsageError(
                            f"--report_columns={path} line {rows.line_num} has {len(row)} values, and the first line "
                            f"has {len(head)}."
                        )
                    name = row[name_place]
                    self.example = self.example or name
                    keys.append(hash_of(name))
                    if len(keys) > _MOST_ROWS:
                        raise UsageError(f"--report_columns={path} has more than {_MOST_ROWS:,} rows.")
                    for place, column in zip(places, columns, strict=True):
                        column.add(row[place].strip())
        except OSError as error:
            raise UsageError(f"--report_columns={path} cannot be read: {error.strerror or error}.") from error
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageError(f"--report_columns={path} is not a CSV file in UTF-8: {error}.") from error
        self.too_many = tuple(name for name, column in zip(self.names, columns, strict=True) if column.is_given_up)
        self._values = [list(column.texts) for column in columns]
        self._keys = np.array(keys, np.uint64)
        order = np.argsort(self._keys, kind="stable")
        self._keys = self._keys[order]
        self._codes = [np.array(column.codes, np.int32)[order] for column in columns]
        twice = np.flatnonzero(self._keys[1:] == self._keys[:-1])
        if len(twice):
            first, second = sorted(order[twice[0] : twice[0] + 2].tolist())
            raise UsageError(f"--report_columns={path}: row {second + 1} names the image of row {first + 1} again.")

    def values(self, file: str) -> tuple[str, ...] | None:
        """Return the texts of an image, one for each of ``names``; None if the table does not name it."""
        for name in dict.fromkeys((file, as_written(file))):
            key = np.uint64(hash_of(name))
            place = int(np.searchsorted(self._keys, key))
            if place < len(self._keys) and self._keys[place] == key:
                return tuple(of[codes[place]] for of, codes in zip(self._values, self._codes, strict=True))
        return None

    def _columns(self, head: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
        if _FILE not in head:
            raise UsageError(f"--report_columns={self.path} has no column file; its columns: {', '.join(head)}.")
        places = [place for place, name in enumerate(head) if name and name not in COLUMNS]
        names = tuple(head[place] for place in places)
        if len(set(names)) < len(names):
            raise UsageError(f"--report_columns={self.path} has two columns of one name: {', '.join(head)}.")
        if not names or len(names) > _MOST_COLUMNS:
            raise UsageError(
                f"--report_columns={self.path} must have 1 to {_MOST_COLUMNS} columns beside {', '.join(COLUMNS)}; it "
                f"has {len(names)}."
            )
        return names, places


def open_columns(report_by: str | None, report_columns: str | None) -> tuple[tuple[str, ...], ColumnTable | None]:
    """Return the names and the table of two flags, for :class:`ReportColumns`.

    By default the names are ``short_side`` and all of the file's columns.

    Raises:
      UsageError: the file cannot be used, or a name is none of its columns.
    """
    table = ColumnTable(path_of(report_columns)) if report_columns else None
    in_table = table.names if table else ()
    if report_by is None:
        return tuple(dict.fromkeys((_DEFAULT, *in_table))), table
    names = tuple(dict.fromkeys(name.strip() for name in report_by.split(",") if name.strip()))
    known = (*_OF_IMAGES, *in_table)
    unknown = [name for name in names if name not in known]
    if unknown:
        more = "" if table else " --report_columns=FILE.csv adds others."
        raise UsageError(f"--report_by: there is no column {unknown[0]}. Choose from {', '.join(known)}.{more}")
    return names, table
