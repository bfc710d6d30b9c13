"""What extract_features has written, read back: images, labels and vectors. No TensorFlow."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.splits import nfc
from slim_train.bulk.parquet import part_files, pyarrow_ready, read_model
from slim_train.errors import UsageError, unknown
from slim_train.retraining.bottlenecks import Features
from slim_train.retraining.split import TESTING, TRAINING, VALIDATION, Split

log = logging.getLogger(__name__)

_PARTS_OF_SPLIT = {
    "training": TRAINING, "train": TRAINING,
    "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION,
    "testing": TESTING, "test": TESTING,
}  # fmt: skip


class VectorBatch(NamedTuple):
    """Images by their numbers [N], and their vectors [N, D]."""

    numbers: NDArray[np.int64]
    vectors: Features


class FeatureTable:
    """The labelled images of an output of extract_features, sorted by class and path, and one column of vectors.

    Args:
      folder: the output folder.
      column: the end point.

    Attributes:
      model: the content of ``_model.json``.
      classes: class names by label.
      names: paths of the images.
      labels: int64 [images].
      rejected: image number -> why it has no vector.

    Raises:
      UsageError: the folder is no such output, lacks the column, or its images have no labels.
    """

    def __init__(self, folder: Path, column: str) -> None:
        pyarrow_ready()
        import pyarrow
        import pyarrow.parquet

        self.folder, self.column = folder, column
        self.model: Mapping[str, Any] = read_model(folder)
        if column not in self.model.get("end_points", {}):
            raise unknown(f"end point in {folder}", column, self.model.get("end_points", {}))
        self.classes: tuple[str, ...] = tuple(self.model.get("classes", ()))
        rows: list[tuple[int, str, str, str | None, str | None]] = []
        for file in part_files(folder):
            try:
                table = pyarrow.parquet.read_table(file, columns=["path", "label", "split", "error"])
            except (OSError, pyarrow.ArrowException) as error:
                raise UsageError(f"{file} cannot be read: {error}.") from error
            columns = (table[name].to_pylist() for name in ("path", "label", "split", "error"))
            for path, label, split, fault in zip(*columns, strict=True):
                if label is not None and 0 <= label < len(self.classes):
                    rows.append((label, nfc(path), path, split, fault))
        if not rows:
            raise UsageError(f"--features={folder} holds no image with a label: a classifier needs classes.")
        rows.sort(key=lambda row: row[:2])
        self.names = [row[2] for row in rows]
        self.labels = np.array([row[0] for row in rows], np.int64)
        self.rejected = {number: row[4] for number, row in enumerate(rows) if row[4] is not None}
        self._splits = [row[3] for row in rows]
        self._number = {name: number for number, name in enumerate(self.names)}

    @property
    def length(self) -> int:
        """Length of a vector."""
        return int(self.model["end_points"][self.column]["length"])

    def batches(self, wanted: NDArray[np.bool_] | None = None) -> Iterator[VectorBatch]:
        """Yield the vectors file by file.

        Args:
          wanted: [images], which images to yield; None is all that have a vector.
        """
        import pyarrow.parquet

        for file in part_files(self.folder):
            table = pyarrow.parquet.read_table(file, columns=["path", self.column])
            numbers = np.array([self._number.get(path, -1) for path in table["path"].to_pylist()], np.int64)
            column = table[self.column].combine_chunks()
            chosen = np.asarray(column.is_valid()) & (numbers >= 0)
            if wanted is not None:
                chosen &= wanted[numbers]
            if chosen.any():
                values = column.filter(chosen).flatten().to_numpy(zero_copy_only=False)
                yield VectorBatch(numbers[chosen], values.reshape(-1, self.length))

    def vectors(self) -> Features:
        """Return the vectors of all images, float32 [images, D]; zeros if an image was rejected."""
        gathered = np.zeros((len(self.names), self.length), np.float32)
        for batch in self.batches():
            gathered[batch.numbers] = batch.vectors
        return gathered

    def split_of_source(self) -> Split:
        """Return the split that the source of the images has.

        Raises:
          UsageError: an image has none, or a name is unknown.
        """
        parts: dict[str, list[list[str]]] = {
            part: [[] for _ in self.classes] for part in (TRAINING, VALIDATION, TESTING)
        }
        for number, (name, split) in enumerate(zip(self.names, self._splits, strict=True)):
            part = _PARTS_OF_SPLIT.get((split or "").lower())
            if part is None:
                raise UsageError(
                    f"--features={self.folder}: the split of {name} is {split!r}, not one of "
                    f"{', '.join(_PARTS_OF_SPLIT)}."
                )
            if number not in self.rejected:
                parts[part][self.labels[number]].append(name)
        for part, by_class in parts.items():
            empty = [class_name for class_name, names in zip(self.classes, by_class, strict=True) if not names]
            if empty and (part == TRAINING or any(by_class)):
                raise UsageError(f"--features={self.folder}: the split {part} has no image of class {empty[0]!r}.")
        return Split(parts, ())
