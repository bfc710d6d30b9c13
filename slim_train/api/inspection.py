"""The report of an inspection. No TensorFlow."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets.inspection.image_stats import Extent, ImageStats
from datasets.inspection.result import Duplicates, FeatureFindings, Inspection
from slim_train.reports.inspection_page import draw_first_images, inspection_html

_MOST_FREQUENT = 20
# Of groups of duplicates, and of doubtful labels.
_MOST_GROUPS = 10_000


@dataclasses.dataclass(frozen=True)
class InspectionReport(Inspection):
    """What a data set is and what is wrong with it.

    Attributes:
      files: the files that were written, by what they hold: page, report, if drawn first_images, and if asked for
        exclusions, label_errors and label_errors_sheet.
    """

    files: Mapping[str, Path] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, inspection: Inspection) -> InspectionReport:
        """Make a report of an inspection."""
        return cls(**{field.name: getattr(inspection, field.name) for field in dataclasses.fields(Inspection)})

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> class name -> number of images. Splits whose labels are not known are missing."""
        return {
            name: dict(zip(self.labels, split.class_counts, strict=True))
            for name, split in self.splits.items()
            if split.class_counts is not None
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON takes."""
        return {
            "dataset_dir": self.dataset_dir,
            "kind": self.kind,
            "name": self.name,
            "labels": list(self.labels),
            "splits": {
                name: {**dataclasses.asdict(split), "class_counts": self.counts.get(name)}
                for name, split in self.splits.items()
            },
            "images": None if self.images is None else _images(self.images),
            "keys": {name: {**dataclasses.asdict(key), "values": list(key.values)} for name, key in self.keys.items()},
            "image_key": self.image_key,
            "label_key": self.label_key,
            "compression": self.compression,
            "duplicates": None if self.duplicates is None else _duplicates(self.duplicates, self.labels),
            "by_features": None if self.by_features is None else _by_features(self.by_features, self.labels),
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "num_faults": len(self.faults),
            "decoded": self.decoded,
            "seconds": round(self.seconds, 3),
            "written": list(self.written),
        }

    def _repr_html_(self) -> str:
        with tempfile.TemporaryDirectory() as folder:
            sheet = Path(folder) / "first_images.jpg"
            return inspection_html(self, sheet if draw_first_images(sheet, self) else None)


def _images(stats: ImageStats) -> dict[str, Any]:
    return {
        "count": stats.images,
        "formats": dict(stats.formats),
        "colors": dict(stats.colors),
        "num_sizes": len(stats.sizes),
        "smallest": _extent(stats.smallest()),
        "median": _extent(stats.median()),
        "largest": _extent(stats.largest()),
        "most_frequent": [
            {**extent._asdict(), "images": count} for extent, count in stats.most_frequent(_MOST_FREQUENT)
        ],
        "num_bytes": stats.num_bytes,
        "least_bytes": stats.least_bytes,
        "most_bytes": stats.most_bytes,
    }


def _duplicates(duplicates: Duplicates, labels: Sequence[str]) -> dict[str, Any]:
    groups = [
        [
            {
                "split": image.split,
                "class": None if image.label is None else labels[image.label],
                "file": image.file,
                "record": image.record,
                "likeness": image.likeness,
            }
            for image in group.images
        ]
        for group in duplicates.groups[:_MOST_GROUPS]
    ]
    return {
        "level": duplicates.level,
        "distance": duplicates.distance,
        "counts": {level: dataclasses.asdict(counts) for level, counts in duplicates.counts.items()},
        "leaks": [leak._asdict() for leak in duplicates.leaks],
        "groups": groups,
    }


def _by_features(found: FeatureFindings, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "net": found.net,
        "num_images": found.num_images,
        "accuracy": found.accuracy,
        "num_probable": found.num_probable,
        "alike": None if found.alike is None else _duplicates(found.alike, labels),
        "label_errors": [
            {
                "split": error.split,
                "file": error.file,
                "record": error.record,
                "class": labels[error.label],
                "suggestion": labels[error.suggestion],
                "class_probability": round(error.label_probability, 6),
                "suggestion_probability": round(error.suggestion_probability, 6),
                "probably_wrong": error.is_probable,
            }
            for error in found.label_errors[:_MOST_GROUPS]
        ],
        **{
            kind: [
                {"class": labels[sample.label], "split": sample.split, "file": sample.file, "record": sample.record}
                for sample in samples
            ]
            for kind, samples in (("typical", found.typical), ("unusual", found.unusual))
        },
    }


def _extent(extent: Extent | None) -> dict[str, int] | None:
    return extent and extent._asdict()
