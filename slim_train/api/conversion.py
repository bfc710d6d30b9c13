"""The report of a conversion. No TensorFlow."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import convert
from datasets.output import REJECTED_FILE
from datasets.record_files import find_record_files
from datasets.spec import INFO_FILE, LABELS_FILE
from datasets.storage import path_of


@dataclass(frozen=True)
class RejectedImage:
    """An image that could not be used.

    Attributes:
      file: its path below the folder of images.
      split: the split that it would be in.
      label: name of its class.
      reason: what is wrong with it.
      detail: the message of the decoder; may be empty.
    """

    file: str
    split: str
    label: str
    reason: str
    detail: str


@dataclass(frozen=True)
class ConversionReport(convert.ConversionReport):
    """The result of a conversion.

    Attributes:
      dataset_dir: the output folder.
      info: content of its info.json and labels.txt.
      rejected: reason -> number of images that this conversion rejected for it.
      num_bytes: size of the record files that were written.
      seconds: duration, downloads included.
      already_finished: whether the folder held this data set before, so that nothing was done.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names; a label is an index into them."""
        return self.info.labels

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> class name -> number of images. Splits of old folders, which do not say, are missing."""
        return {
            name: dict(zip(self.labels, split.class_counts, strict=True))
            for name, split in self.info.splits.items()
            if split.class_counts is not None
        }

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the data set: records, info.json, labels.txt and rejected.csv."""
        folder = path_of(self.dataset_dir)
        records = [path for paths in find_record_files(folder).values() for path in paths]
        others = [folder / name for name in (INFO_FILE, LABELS_FILE, REJECTED_FILE)]
        return (*records, *(path for path in others if path.is_file()))

    @property
    def rejected_images(self) -> tuple[RejectedImage, ...]:
        """The images that rejected.csv lists."""
        path = path_of(self.dataset_dir) / REJECTED_FILE
        if not path.is_file():
            return ()
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(RejectedImage(*row) for row in list(csv.reader(file))[1:])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON takes."""
        return {
            "dataset_dir": self.dataset_dir,
            "name": self.info.name,
            "labels": list(self.labels),
            "splits": {name: split.num_samples for name, split in self.info.splits.items()},
            "counts": self.counts,
            "num_images": self.num_images,
            "num_rejected": self.num_rejected,
            "rejected": dict(self.rejected),
            "files": [str(path) for path in self.files],
            "num_bytes": self.num_bytes,
            "seconds": self.seconds,
            "already_finished": self.already_finished,
        }

    def _repr_html_(self) -> str:
        from slim_train.reports import html

        splits = self.info.splits
        columns = [split.class_counts or ("?",) * len(self.labels) for split in splits.values()]
        rows = list(zip(self.labels, *columns, strict=True))
        total = ("all", *(f"{split.num_samples:,}" for split in splits.values()))
        rejected = ", ".join(f"{reason}: {count:,}" for reason, count in sorted(self.rejected.items()))
        facts = {
            "folder": self.dataset_dir,
            "images": f"{self.num_images:,}",
            "rejected": f"{self.num_rejected:,}{f' ({rejected})' if rejected else ''}",
        }
        note = (
            "converted before" if self.already_finished else f"{self.num_bytes / 1e6:,.1f} MB in {self.seconds:.1f} s"
        )
        return html.report(
            f"Data set {self.info.name or ''}", note, html.facts(facts), html.table(("class", *splits), rows, total)
        )
