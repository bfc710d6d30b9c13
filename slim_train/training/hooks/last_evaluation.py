"""The last evaluation of a training, kept for its report."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from slim_train.checkpoints.find import step_of
from slim_train.evaluation.evaluate import Evaluator
from slim_train.evaluation.metrics import ClassificationMetrics, predict
from slim_train.evaluation.mistakes import Mistake, WorstMistakes, file_names
from slim_train.evaluation.options import EvalOptions
from slim_train.evaluation.report import EvaluationReport
from slim_train.model.spec import class_names


class _Kept(NamedTuple):
    evaluator: Evaluator
    metrics: ClassificationMetrics
    mistakes: WorstMistakes
    checkpoint: str
    step: int
    seconds: float


class LastEvaluation:
    """Evaluates checkpoints, and keeps the counts of the last one: its figures are computed when they are asked for.

    Attributes:
      mistakes: the worst of the last evaluation; after :meth:`explain`.
    """

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._kept: _Kept | None = None

    def evaluate(self, evaluator: Evaluator, checkpoint: str, is_interrupted: Callable[[], bool]) -> dict[str, float]:
        """Evaluate a checkpoint, and return its loss, accuracy and top_5_accuracy.

        Raises:
          EvaluationInterrupted: ``is_interrupted`` returned True; the evaluation before is kept.
          RunError: a record is broken.
        """
        began = time.monotonic()
        mistakes = WorstMistakes(EvalOptions.mistakes)

        def visit(batch: Any, logits: Any) -> None:
            mistakes.update(batch["encoded"], file_names(batch), batch["label"], predict(logits))

        metrics = evaluator.evaluate(checkpoint, visit, is_interrupted)
        # Now: of a training at a URL, it may never be uploaded.
        step = step_of(checkpoint)
        self._kept = _Kept(evaluator, metrics, mistakes, checkpoint, step, time.monotonic() - began)
        return metrics.headline()

    def explain(self) -> None:
        """Draw where the net looked in the worst mistakes. Call it before the evaluator is closed."""
        if self._kept:
            self.mistakes = self._kept.evaluator.explain(self._kept.mistakes.worst_first())

    def report(self) -> EvaluationReport | None:
        """Return the figures of the last evaluation; None if there was none."""
        if self._kept is None:
            return None
        evaluator = self._kept.evaluator
        return EvaluationReport.of(
            self._kept.metrics.report(),
            split=evaluator.dataset.split_name,
            labels=tuple(class_names(evaluator.dataset.labels, evaluator.model)),
            checkpoint=self._kept.checkpoint,
            step=self._kept.step,
            seconds=self._kept.seconds,
            flip=evaluator.flip,
        )
