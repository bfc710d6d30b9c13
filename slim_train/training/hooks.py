"""Session hooks of the training loop: stopping, metrics, evaluation while training, profiles."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any

import tensorflow

from deployment.signals import handled
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.best import BestCheckpoint
from slim_train.checkpoints.training_folder import PREFIX
from slim_train.errors import RunError
from slim_train.progress import ProgressBar
from slim_train.tf_compat import tf
from slim_train.training.graph import TrainingGraph

log = logging.getLogger(__name__)


class StopOnSignal(tf.train.SessionRunHook):
    """Turns SIGTERM and the first Ctrl-C into a stop after the current step, so that the last checkpoint is written.

    A second Ctrl-C interrupts at once. It hears of signals while :meth:`listening`, which goes around the session.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def listening(self) -> AbstractContextManager[None]:
        """While inside, the signals come here."""
        return handled((signal.SIGTERM, signal.SIGINT), self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        log.warning("%s: stopping after this step and saving a checkpoint.", self.received.name)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self.received is not None:
            run_context.request_stop()


class AccumulateGradients(tf.train.SessionRunHook):
    """Adds up the gradients of batches before each step, whose own batch is the last.

    Args:
      accumulate_op: adds up those of one batch.
      num_batches: how many.
    """

    def __init__(self, accumulate_op: Any, num_batches: int) -> None:
        self._accumulate_op, self._num_batches = accumulate_op, num_batches

    def before_run(self, run_context: Any) -> None:
        for _ in range(self._num_batches):
            run_context.session.run(self._accumulate_op)


class StepMetrics(tf.train.SessionRunHook):
    """Watches every step: stops at a loss that is not finite, shows progress and records metrics.

    At the last step and whenever the global step passes a multiple of ``every_n_steps`` one line goes to
    ``metrics.jsonl`` (step, loss, learning_rate, images_per_second), the same values to TensorBoard, and to the log
    where no progress bar is drawn.
    Rates are those of the whole job: all workers move the global step.

    Args:
      graph: the training graph.
      images_per_step: images that one global step consumes.
      steps_per_epoch: global steps of one pass over the data, for the epoch in the log.
      last_step: where training ends, or None.
      train_dir: folder of metrics.jsonl; None writes nothing and draws no bar (workers that are not the chief).
      log_dir: folder of event files; None writes none.
      is_asynchronous: whether other workers change the variables during a step. How many of their updates came between
        the reading of the variables and the own update is then shown, as the mean since the last line: ``staleness``.

    Attributes:
      step: the global step.
      loss: the loss of this process's last step.
      own_steps: training steps that this process has made: gradients that it has contributed.
    """

    def __init__(
        self,
        graph: TrainingGraph,
        images_per_step: int,
        steps_per_epoch: float,
        every_n_steps: int,
        last_step: int | None,
        train_dir: Path | None,
        log_dir: str | None = None,
        is_asynchronous: bool = False,
    ) -> None:
        self._global_step = graph.global_step
        fetches = [graph.step, graph.loss, graph.learning_rate] + ([graph.read_step] if is_asynchronous else [])
        self._fetches = tf.train.SessionRunArgs(fetches)
        self._staleness: list[int] | None = [] if is_asynchronous else None
        self._images_per_step, self._steps_per_epoch = images_per_step, steps_per_epoch
        self._every, self._last_step = every_n_steps, last_step
        self._train_dir, self._log_dir = train_dir, log_dir
        self._bar: ProgressBar | None = None
        self._logged_at = self._began = 0.0
        self._logged_step = self._first_step = self.step = self.own_steps = 0
        self.loss = math.nan

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.step = self._logged_step = int(session.run(self._global_step))
        if self._bar is None:
            self._bar = ProgressBar("training", self._last_step, "steps", start=self.step, lines=False)
            if self._train_dir:
                self._bar.__enter__()
            self._began, self._first_step = time.monotonic(), self.step
        if self._train_dir:
            training_folder.forget_metrics_after(self._train_dir, self.step)
        self._logged_at = time.monotonic()

    def before_run(self, run_context: Any) -> Any:
        return self._fetches

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step, loss, learning_rate = int(run_values.results[0]), *map(float, run_values.results[1:3])
        if self._staleness is not None:
            self._staleness.append(step - int(run_values.results[3]) - 1)
        if not math.isfinite(loss):
            raise RunError(
                f"The loss is {loss} at step {step}: training has diverged and was stopped. Start again with "
                "--restart, or delete the newest checkpoints if the loss was growing when they were written; a lower "
                "--learning_rate, --warmup_steps or --gradient_clip_norm may help."
            )
        self.step, self.loss = step, loss
        self.own_steps += 1
        is_last = self._last_step is not None and self._logged_step < self._last_step <= step
        if is_last or step // self._every > self._logged_step // self._every:
            self._record(step, loss, learning_rate)

    def _record(self, step: int, loss: float, learning_rate: float) -> None:
        now = time.monotonic()
        images_per_second = (step - self._logged_step) * self._images_per_step / max(now - self._logged_at, 1e-9)
        self._logged_step, self._logged_at = step, now
        values = {"step": step, "loss": loss, "learning_rate": learning_rate, "images_per_second": images_per_second}
        stale = ""
        if self._staleness:
            values["staleness"] = sum(self._staleness) / len(self._staleness)
            stale = f" staleness {values['staleness']:.1f}"
            self._staleness.clear()
        if self._train_dir:
            training_folder.add_metrics(self._train_dir, values)
        add_scalars(self._log_dir, step, {f"train/{name}": value for name, value in values.items() if name != "step"})
        assert self._bar is not None
        epoch = step / self._steps_per_epoch
        self._bar.update(step, f"epoch {epoch:.1f} loss {loss:.4f} {images_per_second:,.0f} images/s")
        if not self._bar.is_drawn:
            of_last = f"/{self._last_step}" if self._last_step else ""
            time_left = self._bar.time_left()
            log.info(
                "step %d%s epoch %.2f loss %.4f lr %.3g%s %.1f images/s%s",
                step, of_last, epoch, loss, learning_rate, stale, images_per_second, time_left and f" {time_left} left",
            )  # fmt: skip

    def images_per_second(self) -> float:
        """Images a second of the job since this process joined it, evaluations and saves included."""
        return (self.step - self._first_step) * self._images_per_step / max(time.monotonic() - self._began, 1e-9)

    def close(self) -> None:
        """Take the bar off the screen; training calls it however it ends."""
        if self._bar and self._bar.is_drawn:
            self._bar.__exit__(None, None, None)


class ValidationHook(tf.train.SessionRunHook):
    """Evaluates every ``every_n_steps`` steps and at the end, keeps the best checkpoint, stops when nothing improves.

    Args:
      graph: the training graph.
      saver: gives the saver of all variables, once the graph is finished.
      evaluate: checkpoint prefix -> metrics by name, with ``accuracy`` among them.
      every_n_steps: global steps between evaluations.
      patience: evaluations without a better accuracy before stopping; 0 never stops.
      is_interrupted: asked at the end; who was told to leave has no time for an evaluation.
      train_dir: the training folder.
      log_dir: folder of event files; None writes none.
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
    ) -> None:
        self._global_step = graph.global_step
        self._is_interrupted = is_interrupted
        self._fetches = tf.train.SessionRunArgs(graph.step)
        self._saver, self._evaluate = saver, evaluate
        self._every, self._patience = every_n_steps, patience
        self._train_dir, self._log_dir = train_dir, log_dir
        self.best = BestCheckpoint(train_dir)
        self._without_better = 0

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._last_evaluated = int(session.run(self._global_step))
        self._next = self._multiple_after(self._last_evaluated)

    def before_run(self, run_context: Any) -> Any:
        return self._fetches

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step = int(run_values.results)
        if step < self._next:
            return
        self._next = self._multiple_after(step)
        self._validate(run_context.session, step)
        if self._patience and self._without_better >= self._patience:
            log.warning(
                "Stopping at step %d: %d evaluations without a better accuracy than %.4f of step %d.",
                step, self._without_better, self.best.value, self.best.step,
            )  # fmt: skip
            run_context.request_stop()

    def end(self, session: Any) -> None:
        step = int(session.run(self._global_step))
        if step > self._last_evaluated and not self._is_interrupted():
            self._validate(session, step)

    def _multiple_after(self, step: int) -> int:
        return (step // self._every + 1) * self._every

    def _validate(self, session: Any, step: int) -> None:
        self._last_evaluated = step
        checkpoint = self._saver().save(session, str(self._train_dir / PREFIX), global_step=step)
        metrics = self._evaluate(checkpoint)
        accuracy = metrics["accuracy"]
        is_better = self.best.offer(checkpoint, accuracy, step)
        self._without_better = 0 if is_better else self._without_better + 1
        log.info(
            "step %d evaluation: %s%s",
            step,
            " ".join(f"{name} {value:.4f}" for name, value in metrics.items()),
            " (best so far)" if is_better else f" (best {self.best.value:.4f} at step {self.best.step})",
        )
        add_scalars(self._log_dir, step, {f"eval/{name}": value for name, value in metrics.items()})
        training_folder.add_metrics(
            self._train_dir, {"step": step} | {f"eval_{name}": value for name, value in metrics.items()}
        )


class Profile(tf.train.SessionRunHook):
    """Writes a TensorBoard profile of the steps ``first`` to ``last`` of this run, counted from 1."""

    def __init__(self, first: int, last: int, log_dir: str) -> None:
        self._first, self._last, self._log_dir = first, last, log_dir
        self._step = 0

    def before_run(self, run_context: Any) -> None:
        self._step += 1
        if self._step == self._first:
            tensorflow.profiler.experimental.start(self._log_dir)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self._step == self._last:
            tensorflow.profiler.experimental.stop()
            log.info("Profile of steps %d to %d written to %s.", self._first, self._last, self._log_dir)

    def end(self, session: Any) -> None:
        if self._first <= self._step < self._last:
            tensorflow.profiler.experimental.stop()


def add_scalars(log_dir: str | None, step: int, values: dict[str, float]) -> None:
    """Write scalars for TensorBoard to the event file of this process in ``log_dir``; nothing where that is None."""
    if log_dir is not None:
        summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        tf.summary.FileWriterCache.get(log_dir).add_summary(summary, step)
