"""The last evaluation of a training, kept for its report."""

from __future__ import annotations

import time
from collections.abc import Callable

from slim_train.checkpoints.find import step_of
from slim_train.evaluation.evaluate import Evaluator
from slim_train.evaluation.metrics import ClassificationMetrics
from slim_train.evaluation.report import EvaluationReport
from slim_train.model.spec import class_names


class LastEvaluation:
    """Evaluates checkpoints, and keeps the counts of the last one: its figures are computed when they are asked for."""

    def __init__(self) -> None:
        self._evaluated: tuple[Evaluator, ClassificationMetrics, str, float] | None = None

    def evaluate(self, evaluator: Evaluator, checkpoint: str, is_interrupted: Callable[[], bool]) -> dict[str, float]:
        """Evaluate a checkpoint, and return its loss, accuracy and top_5_accuracy.

        Raises:
          EvaluationInterrupted: ``is_interrupted`` returned True; the evaluation before is kept.
          RunError: a record is broken.
        """
        began = time.monotonic()
        metrics = evaluator.evaluate(checkpoint, is_interrupted=is_interrupted)
        self._evaluated = evaluator, metrics, checkpoint, time.monotonic() - began
        return metrics.headline()

    def report(self) -> EvaluationReport | None:
        """Return the figures of the last evaluation; None if there was none."""
        if self._evaluated is None:
            return None
        evaluator, metrics, checkpoint, seconds = self._evaluated
        return EvaluationReport.of(
            metrics.report(),
            split=evaluator.dataset.split_name,
            labels=tuple(class_names(evaluator.dataset.labels, evaluator.model)),
            checkpoint=checkpoint,
            step=step_of(checkpoint),
            seconds=seconds,
            flip=evaluator.flip,
        )
