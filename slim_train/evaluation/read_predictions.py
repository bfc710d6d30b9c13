"""Predictions of a run, read from the file of an evaluation in little memory. No TensorFlow."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slim_train.errors import UsageError
from slim_train.evaluation.predictions_csv import COLUMNS

_MOST_IMAGES = 20_000_000  # 17 bytes each


@dataclasses.dataclass(frozen=True)
class RunPredictions:
    """The predictions of one run over M images, sorted by image.

    Attributes:
      images: uint64 [M], a hash of file name and true class, ascending.
      files: uint64 [M], a hash of the file name alone, in the same order.
      correct: bool [M].
      rows: int64 [M], the row of the file.
      balanced_accuracy: mean recall of the classes.
    """

    images: NDArray[np.uint64]
    files: NDArray[np.uint64]
    correct: NDArray[np.bool_]
    rows: NDArray[np.int64]
    balanced_accuracy: float

    @property
    def hits(self) -> int:
        """How many images were right."""
        return int(self.correct.sum())


def read_predictions(path: Path) -> RunPredictions:
    """Read a predictions_<split>.csv.

    Raises:
      UsageError: the file cannot be read, is none of an evaluation, or holds no image or too many.
    """
    images, files, correct = array("Q"), array("Q"), array("B")
    of_class: Counter[str] = Counter()
    right_of_class: Counter[str] = Counter()
    for file, label, prediction in _rows(path):
        if len(images) == _MOST_IMAGES:
            raise UsageError(f"{path} has more than {_MOST_IMAGES:,} images.")
        files.append(hash_of(file))
        images.append(hash_of(f"{file}\0{label}"))
        correct.append(label == prediction)
        of_class[label] += 1
        right_of_class[label] += label == prediction
    if not images:
        raise UsageError(f"{path} holds no image.")
    keys = np.frombuffer(images, np.uint64)
    # Images of the same name and class are told apart by their order alone: stable.
    order = np.argsort(keys, kind="stable")
    return RunPredictions(
        keys[order],
        np.frombuffer(files, np.uint64)[order],
        np.frombuffer(correct, np.bool_)[order],
        order,
        float(np.mean([right_of_class[label] / count for label, count in of_class.items()])),
    )


def rows_of(path: Path, wanted: Collection[int]) -> dict[int, tuple[str, str, str]]:
    """Return file, label and prediction of some rows, by their number."""
    numbers = set(wanted)
    return {number: row for number, row in enumerate(_rows(path)) if number in numbers} if numbers else {}


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            if tuple(next(reader, ()))[: len(COLUMNS)] != COLUMNS:
                raise UsageError(
                    f"{path} is no predictions file of eval_image_classifier: its columns must be {', '.join(COLUMNS)}."
                )
            for row in reader:
                if len(row) < len(COLUMNS):
                    raise UsageError(f"{path} line {reader.line_num}: a value is missing. Evaluate again.")
                yield row[0], row[1], row[2]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no predictions file of eval_image_classifier: {error}.") from error


def hash_of(text: str) -> int:
    """Return 64 bits that stand for a text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
