"""Labels that are probably wrong, as a CSV file and as a sheet of images. No TensorFlow."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from slim_train.reports.contact_sheet import Tile, draw_contact_sheet
from slim_train.reports.fonts import drawable_labels
from slim_train.reports.plotting import ORANGE

if TYPE_CHECKING:
    from datasets.inspection.result import FeatureFindings

_COLUMNS = ("file", "split", "record", "label", "suggestion", "label_probability", "suggestion_probability")


def write_label_errors(path: Path, found: FeatureFindings, labels: Sequence[str]) -> None:
    """Write a CSV file of the images whose labels are probably wrong, the least probable labels first.

    ``file`` is the name of the image for ``download_and_convert_data --exclude``, or the record file if the record does
    not have it.
    """
    from datasets.files import replacing  # not at the top: commands check first that this package is ours

    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for error in (error for error in found.label_errors if error.is_probable):
            rows.writerow(
                (
                    error.source or error.file,
                    error.split,
                    error.record,
                    labels[error.label],
                    labels[error.suggestion],
                    f"{error.label_probability:.4f}",
                    f"{error.suggestion_probability:.4f}",
                )
            )


def draw_label_errors(path: Path, found: FeatureFindings, labels: Sequence[str]) -> bool:
    """Draw the first images whose labels are probably wrong, with label, suggestion and file.

    Returns:
      Whether there are any.
    """
    shown = [error for error in found.label_errors if error.data]
    if not shown:
        return False
    names = drawable_labels(labels)
    tiles = [
        Tile(
            error.data,
            (
                names[error.label],
                (f"→ {names[error.suggestion]}", f"{error.suggestion_probability:.0%}"),
                PurePath(error.file).name if error.record is None else f"{error.split}, record {error.record:,}",
            ),
            ORANGE,
        )
        for error in shown
    ]
    note = f"{len(shown):,} of {found.num_probable:,}; label, suggestion and its probability"
    draw_contact_sheet(path, tiles, "Labels that are probably wrong", note)
    return True
