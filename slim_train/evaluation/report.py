"""The report of an evaluation: a classification report, and what was evaluated. No TensorFlow."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from slim_train.evaluation.accuracy_by import Group
from slim_train.evaluation.metrics import ClassificationReport
from slim_train.evaluation.table import trust
from slim_train.reports import html

# In a notebook.
_MOST_CLASSES_SHOWN = 100


@dataclasses.dataclass(frozen=True)
class EvaluationReport(ClassificationReport):
    """What a checkpoint got right over a split.

    Attributes:
      split: name of the split.
      labels: a name for each class.
      checkpoint: prefix of the checkpoint.
      step: its global step.
      seconds: duration of the evaluation.
      flip: whether probabilities are averaged over each image and its mirror image.
      evaluated: what the logits depend on, as :func:`slim_train.inference.trained_model.logits_identity` says.
      accuracy_by: groups of images by the columns of ``--report_by``.
      files: the files that were written, by what they hold: metrics, predictions, and if drawn confusion_matrix and
        mistakes.
    """

    split: str
    labels: tuple[str, ...]
    checkpoint: str
    step: int
    seconds: float
    flip: bool = False
    evaluated: dict[str, Any] = dataclasses.field(default_factory=dict)
    accuracy_by: dict[str, tuple[Group, ...]] = dataclasses.field(default_factory=dict)
    files: dict[str, Path] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, report: ClassificationReport, **more: Any) -> EvaluationReport:
        """Add what was evaluated to a classification report."""
        figures = {field.name: getattr(report, field.name) for field in dataclasses.fields(ClassificationReport)}
        return cls(**figures, **more)

    @property
    def images_per_second(self) -> float:
        """Speed of the evaluation, everything included."""
        return self.images / max(self.seconds, 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as eval_<split>.json holds it."""
        return {
            "split": self.split,
            "checkpoint": self.checkpoint,
            "global_step": self.step,
            "eval_flip": self.flip,
            "evaluated": self.evaluated,
            "images": self.images,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
            "loss": self.loss,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.accuracy_interval),
            "top_5_accuracy": self.top_5_accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_average": self.macro._asdict(),
            "weighted_average": self.weighted._asdict(),
            "accuracy_by": [
                {"column": column, **group.to_dict()} for column, groups in self.accuracy_by.items() for group in groups
            ],
            "labels": list(self.labels),
            "per_class": self._per_class(),
            **self.confusion.to_dict(),
            **(self.calibration.to_dict() if self.calibration else {}),
        }

    def _repr_html_(self) -> str:
        columns = ("label", "precision", "recall", "f1", "support")
        best, worst = self.best_and_worst(_MOST_CLASSES_SHOWN // 2)
        shown = range(len(self.labels)) if len(self.labels) <= _MOST_CLASSES_SHOWN else [*worst, *best]
        per_class = self._per_class()
        rows = [
            [f"{row[column]:.3f}" if isinstance(row[column], float) else row[column] for column in columns]
            for row in (per_class[index] for index in shown)
        ]
        note = f"accuracy {self.accuracy:.2%} of {self.images:,} images, step {self.step:,}"
        images = [
            html.image_file(self.files[name], name) for name in ("confusion_matrix", "mistakes") if name in self.files
        ]
        headings = ["class", "precision", "recall", "f1", "images"]
        return html.report(
            f"Evaluation of {self.split}", note, html.paragraph(trust(self)), html.table(headings, rows), *images
        )

    def _per_class(self) -> list[dict[str, Any]]:
        columns = (self.precision.tolist(), self.recall.tolist(), self.f1.tolist(), self.support.tolist())
        return [
            {"class": index, "label": label, "precision": precision, "recall": recall, "f1": f1, "support": support}
            for index, (label, precision, recall, f1, support) in enumerate(zip(self.labels, *columns, strict=True))
        ]
