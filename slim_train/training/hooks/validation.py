"""Evaluation while training: the best checkpoint, and stopping early."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deployment import task_status
from slim_train.checkpoints.best import BestCheckpoint
from slim_train.checkpoints.metrics_file import MetricsFile
from slim_train.checkpoints.training_folder import PREFIX
from slim_train.evaluation.evaluate import EvaluationInterrupted
from slim_train.tf_compat import tf
from slim_train.training.graph import TrainingGraph
from slim_train.training.hooks.scalars import add_scalars

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """An evaluation during training.

    Attributes:
      step: the global step.
      checkpoint: prefix of the checkpoint that was evaluated. At a URL it may be uploaded later, or never.
      metrics: by name: loss, accuracy, top_5_accuracy.
      is_best: whether no earlier evaluation was as good.
    """

    step: int
    checkpoint: str
    metrics: dict[str, float]
    is_best: bool


class ValidationHook(tf.train.SessionRunHook):
    """Evaluates every ``every_n_steps`` steps and at the end, keeps the best checkpoint, stops when nothing improves.

    Args:
      graph: the training graph.
      saver: gives the saver of all variables, once the graph is finished.
      evaluate: checkpoint prefix -> metrics by name, with ``accuracy`` among them; may raise EvaluationInterrupted.
      every_n_steps: global steps between evaluations.
      patience: evaluations without a better accuracy before stopping; 0 never stops.
      on_evaluation: functions to call after each evaluation.
      is_interrupted: asked at the end; who was told to leave has no time for an evaluation.
      train_dir: the training folder.
      log_dir: folder of event files; None writes none.
      split: name of the split that is evaluated.
      metrics_file: metrics.jsonl, if other hooks add to it too.
      best: keeps the best checkpoint; None keeps it in the training folder at once.
    """

    def __init__(
        self,
        graph: TrainingGraph,
        saver: Callable[[], Any],
        evaluate: Callable[[str], dict[str, float]],
        every_n_steps: int,
        patience: int,
        train_dir: Path,
        log_dir: str | None = None,
        is_interrupted: Callable[[], bool] = lambda: False,
        on_evaluation: Sequence[Callable[[Evaluated], None]] = (),
        split: str | None = None,
        metrics_file: MetricsFile | None = None,
        best: BestCheckpoint | None = None,
    ) -> None:
        self._on_evaluation = on_evaluation
        self._global_step = graph.global_step
        self._is_interrupted = is_interrupted
        self._fetches = tf.train.SessionRunArgs(graph.step)
        self._saver, self._evaluate = saver, evaluate
        self._every, self._patience = every_n_steps, patience
        self._train_dir, self._log_dir = train_dir, log_dir
        self._file = metrics_file or MetricsFile(train_dir)
        self.best = best or BestCheckpoint(train_dir, split)
        self._without_better = 0

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._last_evaluated = int(session.run(self._global_step))
        self._next = self._multiple_after(self._last_evaluated)
        # A run that ended, was stopped or was killed goes on counting.
        self._without_better = sum(
            "eval_accuracy" in line and line["step"] > self.best.step for line in self._file.lines()
        )
        if self._is_out_of_patience():
            self._say_why()
            coord.request_stop()

    def before_run(self, run_context: Any) -> Any:
        return self._fetches

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step = int(run_values.results)
        if step < self._next:
            return
        self._next = self._multiple_after(step)
        self._validate(run_context.session, step)
        if self._is_out_of_patience():
            self._say_why()
            run_context.request_stop()

    def end(self, session: Any) -> None:
        step = int(session.run(self._global_step))
        if step > self._last_evaluated and not self._is_interrupted():
            self._validate(session, step)

    def _is_out_of_patience(self) -> bool:
        return bool(self._patience) and self._without_better >= self._patience

    def _say_why(self) -> None:
        log.warning(
            "Stopping at step %d: %d evaluations without a better accuracy than %.4f of step %d.",
            self._last_evaluated, self._without_better, self.best.value, self.best.step,
        )  # fmt: skip

    def _multiple_after(self, step: int) -> int:
        return (step // self._every + 1) * self._every

    def _validate(self, session: Any, step: int) -> None:
        self._last_evaluated = step
        checkpoint = self._saver().save(session, str(self._train_dir / PREFIX), global_step=step)
        if checkpoint is None:
            log.warning("Step %d is not evaluated: its checkpoint could not be saved.", step)
            return
        try:
            with task_status.during("evaluating"):
                metrics = self._evaluate(checkpoint)
        except EvaluationInterrupted:
            log.warning("The evaluation of step %d was interrupted.", step)
            return
        is_better = self._offer(checkpoint, metrics, step)
        self._without_better = 0 if is_better else self._without_better + 1
        log.info(
            "step %d evaluation: %s%s",
            step,
            " ".join(f"{name} {value:.4f}" for name, value in metrics.items()),
            " (best so far)" if is_better else f" (best {self.best.value:.4f} at step {self.best.step})",
        )
        add_scalars(self._log_dir, step, {f"eval/{name}": value for name, value in metrics.items()})
        self._record(step, metrics)
        for call in self._on_evaluation:
            call(Evaluated(step, checkpoint, dict(metrics), is_better))

    def _record(self, step: int, metrics: dict[str, float]) -> None:
        values = {"step": step} | {f"eval_{name}": value for name, value in metrics.items()}
        try:
            self._file.add(values)
        except OSError as error:
            log.warning("The evaluation of step %d is missing from metrics.jsonl: %s.", step, error.strerror)

    def _offer(self, checkpoint: str, metrics: dict[str, float], step: int) -> bool:
        try:
            return self.best.offer(checkpoint, metrics, step)
        except (OSError, tf.errors.OpError) as error:
            log.warning("Cannot keep the best checkpoint in %s: %s", self.best.folder, error)
            return False
