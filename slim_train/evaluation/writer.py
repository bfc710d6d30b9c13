"""All results of an evaluation in one folder."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import ArrayLike

from slim_train.evaluation.metrics import ClassificationMetrics, predict
from slim_train.evaluation.metrics_json import write_metrics_json
from slim_train.evaluation.mistakes import Mistake, WorstMistakes, draw_mistakes_sheet, file_names
from slim_train.evaluation.predictions_csv import PredictionsCsv
from slim_train.evaluation.report import EvaluationReport
from slim_train.evaluation.report_columns import ReportColumns
from slim_train.evaluation.table import format_metrics, summary, trust
from slim_train.reports.confusion_matrix import draw_confusion_matrix

log = logging.getLogger(__name__)

# Of data sets with more classes than a matrix can show.
_DRAWN_CLASSES = 60


class EvaluationWriter:
    """Writes eval_<split>.json, predictions_<split>.csv, confusion_matrix_<split>.png and mistakes_<split>.png.

    Use it as a context manager, :meth:`visit` each batch and :meth:`finish`; a batch that fails leaves nothing behind.

    Args:
      folder: where to write; it exists.
      split: name of the split.
      labels: a name for each class.
      num_mistakes: how many of the worst mistakes to draw; 0 draws no sheet.
      columns: what accuracy is reported by, or None.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        labels: Sequence[str],
        num_mistakes: int,
        columns: ReportColumns | None = None,
    ) -> None:
        self._columns = columns
        self._folder, self._split, self._labels = folder, split, labels
        self._num_mistakes = num_mistakes
        self._mistakes = WorstMistakes(num_mistakes)
        self._predictions = PredictionsCsv(folder / f"predictions_{split}.csv", labels)

    def __enter__(self) -> EvaluationWriter:
        self._predictions.__enter__()
        return self

    @property
    def mistakes(self) -> list[Mistake]:
        """The worst mistakes so far, the most confident first."""
        return self._mistakes.worst_first()

    def visit(self, batch: Mapping[str, Any], logits: ArrayLike) -> None:
        """Record one batch: ``filename`` (bytes), ``label`` and ``encoded`` images [B], and logits [B, C]."""
        files = file_names(batch)
        predictions = predict(logits)
        self._predictions.write(files, batch["label"], predictions)
        if self._columns:
            self._columns.add(batch, files, predictions.classes)
        self._mistakes.update(batch["encoded"], files, batch["label"], predictions)

    def finish(
        self, metrics: ClassificationMetrics, checkpoint: str, step: int, seconds: float, **more: Any
    ) -> EvaluationReport:
        """Write the metrics, draw the images, show the table in the log, and return the report.

        Args:
          metrics: the counts.
          checkpoint, step, seconds, more: fields of the report.
        """
        paths = {
            "metrics": self._folder / f"eval_{self._split}.json",
            "predictions": self._folder / f"predictions_{self._split}.csv",
            "confusion_matrix": self._folder / f"confusion_matrix_{self._split}.png",
            "mistakes": self._folder / f"mistakes_{self._split}.png",
        }
        report = EvaluationReport.of(
            metrics.report(),
            split=self._split,
            labels=tuple(self._labels),
            checkpoint=checkpoint,
            step=step,
            seconds=seconds,
            accuracy_by=self._columns.result() if self._columns else {},
            **more,
        )
        for drawn in ("confusion_matrix", "mistakes"):
            # They need matplotlib, and mistakes: what an earlier evaluation drew is no result of this one.
            paths[drawn].unlink(missing_ok=True)
        write_metrics_json(paths["metrics"], report)
        note = f"{self._split} · step {step:,} · {summary(report)}"
        self._draw_confusions(paths["confusion_matrix"], report, note)
        if self._num_mistakes:
            draw_mistakes_sheet(
                paths["mistakes"],
                self.mistakes,
                self._labels,
                split=self._split,
                images=report.images,
                total=self._mistakes.total,
            )
        log.info("Evaluation of %s on %s:\n\n%s\n", checkpoint, self._split, format_metrics(report, self._labels))
        log.info("%s", trust(report))
        log.info("Metrics, predictions and images are in %s.", self._folder)
        # The predictions get their name when the writer is left; images need matplotlib, and mistakes.
        written = {what: path for what, path in paths.items() if what == "predictions" or path.is_file()}
        return dataclasses.replace(report, files=written)

    def _draw_confusions(self, path: Path, report: EvaluationReport, note: str) -> None:
        """Draw the matrix; of very many classes, those that are confused most."""
        matrix = report.confusion_matrix
        if matrix is not None:
            draw_confusion_matrix(path, matrix, self._labels, note)
            return
        worst = report.confusion.worst(_DRAWN_CLASSES)
        names = [self._labels[index] for index in worst.classes]
        note = f"the {len(names)} most confused of {len(self._labels):,} classes · {note}"
        draw_confusion_matrix(path, worst.matrix, names, note, worst.support)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._predictions.__exit__(kind, error, trace)
