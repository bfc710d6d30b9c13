"""What ends training: a signal, the last step, the end of the whole job."""

from __future__ import annotations

import logging
import signal
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

from deployment.signals import handled
from slim_train.tf_compat import tf
from slim_train.training.job_phase import ENDED, JobPhase

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


class StopAtStep(tf.train.SessionRunHook):
    """Stops at a global step; before the first step where other tasks, or an earlier run, have reached it already."""

    def __init__(self, global_step: Any, step: Any, last_step: int) -> None:
        self._global_step, self._last_step = global_step, last_step
        self._fetches = tf.train.SessionRunArgs(step)

    def after_create_session(self, session: Any, coord: Any) -> None:
        if session.run(self._global_step) >= self._last_step:
            coord.request_stop()

    def before_run(self, run_context: Any) -> Any:
        return self._fetches

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if run_values.results >= self._last_step:
            run_context.request_stop()


class EndOfJob(tf.train.SessionRunHook):
    """Ends the job for all its tasks when the chief's session ends; in workers, stops when the chief has ended it.

    Args:
      release: an op that the chief runs then, to free workers that wait in their step; None if they never do.
    """

    def __init__(self, phase: JobPhase, is_chief: bool, release: Any = None) -> None:
        self._phase, self._is_chief = phase, is_chief
        self._end = [phase.end] if release is None else [phase.end, release]
        self._fetches = tf.train.SessionRunArgs(phase.value.read_value())

    def after_create_session(self, session: Any, coord: Any) -> None:
        # A worker that joins late may find the job ended.
        if not self._is_chief and session.run(self._fetches.fetches) == ENDED:
            self._say_ended()
            coord.request_stop()

    def before_run(self, run_context: Any) -> Any:
        return None if self._is_chief else self._fetches

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if not self._is_chief and run_values.results == ENDED:
            self._say_ended()
            run_context.request_stop()

    def _say_ended(self) -> None:
        log.info("The chief has ended the job.")

    def end(self, session: Any) -> None:
        if self._is_chief:
            for op in self._end:
                session.run(op)
