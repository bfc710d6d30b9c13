"""Predictions of a bulk job as one CSV file. No TensorFlow."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

from datasets.files import replacing
from slim_train.bulk.parquet import part_files
from slim_train.evaluation.predictions_csv import as_data

_ROWS_AT_ONCE = 10_000


def write_csv(path: Path, folder: Path, top: int) -> None:
    """Write the rows of all parts in a folder, in UTF-8: path, label, class, split, class_1, probability_1, ..., error.

    Args:
      path: the file, which appears when it is whole.
      folder: of the predictions.
      top: number of classes per image.

    Raises:
      OSError: the file cannot be written.
    """
    import pyarrow.parquet

    places = [(f"class_{place}", f"probability_{place}") for place in range(1, top + 1)]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "class", "split", *itertools.chain(*places), "error"])
        for part in part_files(folder):
            for batch in pyarrow.parquet.ParquetFile(part).iter_batches(_ROWS_AT_ONCE):
                rows.writerows(_cells(row, top) for row in batch.to_pylist())


def _cells(row: dict[str, Any], top: int) -> list[Any]:
    found = zip(row["top_classes"] or (), row["top_probabilities"] or (), strict=True)
    cells = [cell for name, probability in found for cell in (as_data(name), f"{probability:.6f}")]
    known = [row["label"], as_data(row["class"] or ""), as_data(row["split"] or "")]
    return [as_data(row["path"]), *known, *cells, *[""] * (2 * top - len(cells)), row["error"]]
