"""What each step says: log lines, metrics.jsonl, TensorBoard; and a loss that is not finite."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

from deployment import task_status
from slim_train.checkpoints.metrics_file import MetricsFile
from slim_train.errors import RunError
from slim_train.progress import ProgressBar
from slim_train.tf_compat import tf
from slim_train.training.graph import TrainingGraph
from slim_train.training.hooks.scalars import add_scalars
from slim_train.training_options import LOSSES

log = logging.getLogger(__name__)


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
      metrics_file: metrics.jsonl; None writes nothing and draws no bar (workers that are not the chief).
      log_dir: folder of event files; None writes none.
      is_asynchronous: whether other workers change the variables during a step. How many of their updates came between
        the reading of the variables and the own update is then shown, as the mean since the last line: ``staleness``.
      loss_name: what ``--loss`` says, for the error if it is not finite.

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
        metrics_file: MetricsFile | None,
        log_dir: str | None = None,
        is_asynchronous: bool = False,
        loss_name: str = "softmax",
    ) -> None:
        self._loss_name = loss_name
        self._global_step = graph.global_step
        fetches = [graph.step, graph.loss, graph.learning_rate] + ([graph.read_step] if is_asynchronous else [])
        self._fetches = tf.train.SessionRunArgs(fetches)
        self._staleness: list[int] | None = [] if is_asynchronous else None
        self._images_per_step, self._steps_per_epoch = images_per_step, steps_per_epoch
        self._every, self._last_step = every_n_steps, last_step
        self._file, self._log_dir = metrics_file, log_dir
        self._bar: ProgressBar | None = None
        self._logged_at = self._began = 0.0
        self._logged_step = self._first_step = self.step = self.own_steps = 0
        self.loss = math.nan
        self._misses_lines = False
        self._logged_own_steps = 0

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.step = self._logged_step = int(session.run(self._global_step))
        if self._bar is None:
            self._bar = ProgressBar("training", self._last_step, "steps", start=self.step, lines=False)
            if self._file:
                self._bar.__enter__()
            self._began, self._first_step = time.monotonic(), self.step
        task_status.report(state="training", waiting_for=[], step=self.step, last_step=self._last_step)
        if self._file:
            self._file.forget_after(self.step)
        self._logged_at = time.monotonic()

    def before_run(self, run_context: Any) -> Any:
        return self._fetches

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step, loss, learning_rate = int(run_values.results[0]), *map(float, run_values.results[1:3])
        if self._staleness is not None:
            self._staleness.append(step - int(run_values.results[3]) - 1)
        if not math.isfinite(loss):
            of = "" if self._loss_name in LOSSES else f" {self._loss_name!r}"
            raise RunError(
                f"The loss{of} is {loss} at step {step}: training has diverged and was stopped. Start again with "
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
        own_rate = (self.own_steps - self._logged_own_steps) / max(now - self._logged_at, 1e-9)
        self._logged_step, self._logged_at, self._logged_own_steps = step, now, self.own_steps
        task_status.report(step=step, steps_per_second=own_rate, images_per_second=images_per_second)
        values = {"step": step, "loss": loss, "learning_rate": learning_rate, "images_per_second": images_per_second}
        stale = ""
        if self._staleness:
            values["staleness"] = sum(self._staleness) / len(self._staleness)
            stale = f" staleness {values['staleness']:.1f}"
            self._staleness.clear()
        self._write(values)
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

    def _write(self, values: dict[str, float]) -> None:
        try:
            if self._file:
                self._file.add(values)
                self._misses_lines = False
        except OSError as error:
            if not self._misses_lines:
                log.warning("Lines are missing from %s: %s.", error.filename, error.strerror)
            self._misses_lines = True

    def images_per_second(self) -> float:
        """Images a second of the job since this process joined it, evaluations and saves included."""
        return (self.step - self._first_step) * self._images_per_step / max(time.monotonic() - self._began, 1e-9)

    def close(self) -> None:
        """Take the bar off the screen; training calls it however it ends."""
        if self._bar and self._bar.is_drawn:
            self._bar.__exit__(None, None, None)
