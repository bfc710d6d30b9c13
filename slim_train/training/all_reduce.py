"""Training tasks without parameter servers: how their sessions start together, stop together and notice a lost task.

Every task holds all variables. The chief's values go to all before the first step, and a step is one of all tasks
(:mod:`deployment.collectives`), so a task that ends while the others go on would leave them waiting in their next step.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from deployment.peers import PeerWatch
from deployment.rendezvous import meet
from deployment.servers import LostTaskError
from slim_train.errors import UsageError
from slim_train.tf_compat import tf
from slim_train.training import sessions
from slim_train.training.graph import TrainingGraph

log = logging.getLogger(__name__)

# What a step becomes that another task breaks off.
_BROKEN_OFF = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


class StopTogether(tf.train.SessionRunHook):
    """Stops all tasks after the same step: the last, one with a loss that is not finite, or the next after a request.

    Args:
      graph: a training graph of several tasks.
      last_step: where training ends, or None.
      peers_may_leave: called when the end is sure. This must be the first hook, so that none sees the end before.
    """

    def __init__(self, graph: TrainingGraph, last_step: int | None, peers_may_leave: Callable[[], None]) -> None:
        assert graph.synchronized is not None
        self._global_step, self._last_step = graph.global_step, last_step
        self._fetches = [graph.step, graph.loss, graph.synchronized.stop]
        self._stop_request = graph.synchronized.stop_request
        self._peers_may_leave = peers_may_leave
        self._is_requested = False

    def request(self) -> None:
        """Ask all tasks to stop after the next step."""
        self._is_requested = True

    def after_create_session(self, session: Any, coord: Any) -> None:
        if self._last_step is not None and session.run(self._global_step) >= self._last_step:
            self._peers_may_leave()
            coord.request_stop()

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs(self._fetches, {self._stop_request: float(self._is_requested)})

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step, loss, stop = run_values.results
        is_last = self._last_step is not None and step >= self._last_step
        if not stop and not is_last:
            return
        self._peers_may_leave()
        run_context.request_stop()
        if not is_last and not self._is_requested and math.isfinite(loss):
            log.warning("Stopping at step %d: another task asked for it.", step)


class _AskAll(tf.train.SessionRunHook):
    """A hook of a task alone, whose requests to stop go to all tasks."""

    def __init__(self, hook: Any, request: Callable[[], None]) -> None:
        self._hook, self._request = hook, request
        self.begin, self.after_create_session, self.end = hook.begin, hook.after_create_session, hook.end
        self.before_run = hook.before_run

    def after_run(self, run_context: Any, run_values: Any) -> None:
        own_context = tf.train.SessionRunContext(run_context.original_args, run_context.session)
        self._hook.after_run(own_context, run_values)
        if own_context.stop_requested:
            self._request()


class SessionCreator(sessions.SessionCreator):
    """Makes the one session of a task: when all tasks are there, with the chief's values.

    There is no second: a task that was lost has left the others in the middle of a step, and after an error
    TensorFlow's collective ops work again only in new processes.

    Args:
      graph: a training graph of several tasks.
      last_step: where training ends, or None.
      timeout_secs: within this time after a task is lost the others end.
      **kwargs: those of :class:`slim_train.training.sessions.SessionCreator`.
    """

    def __init__(self, graph: TrainingGraph, last_step: int | None, timeout_secs: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._graph, self._last_step, self._timeout = graph, last_step, timeout_secs
        variables = [(variable.op.name, variable.shape.as_list()) for variable in tf.global_variables()]
        self._signature = hashlib.sha256(repr(variables).encode()).digest()
        self._watch: PeerWatch | None = None
        self._loss: str | None = None
        self._last_resort = threading.Timer(timeout_secs / 4, self._give_up)
        self._last_resort.daemon = True

    def create_session(self) -> Any:
        """See the base class.

        Raises:
          LostTaskError: a task is lost, or was when a session had been made before.
          UsageError: tasks build different graphs.
        """
        if self._watch is not None:  # The session broke off.
            raise LostTaskError(self._describe(self._loss or self._watch.find_loss(self._timeout / 2)))
        self._scaffold.finalize()
        session = self._prepare(restores=self._cluster.role == "chief")
        meeting = meet(self._cluster, self._master, self._signature, self._wait_secs, self._is_interrupted)
        if meeting.differing:
            raise UsageError(
                f"{self._cluster.own.name} has other variables than {' and '.join(meeting.differing)}: start all tasks "
                "with the same options for the net and the optimizer."
            )
        self._watch = PeerWatch(
            meeting.peers, meeting.statuses, self._timeout / 2, lambda loss: self._break_off(session, loss)
        )
        self._watch.start()
        session.run(self._graph.broadcast)
        return session

    def coordinate(self, hooks: Sequence[Any]) -> list[Any]:
        """Return the hooks, none of which stops this task without the others any more."""
        together = StopTogether(self._graph, self._last_step, self._let_peers_leave)
        return [together, *(_AskAll(hook, together.request) for hook in hooks)]

    @contextlib.contextmanager
    def naming_losses(self) -> Iterator[None]:
        """Around the loop: what a lost task makes of it becomes a LostTaskError that names the task."""
        try:
            yield
        except LostTaskError:
            raise
        except (tf.errors.OpError, RuntimeError) as error:
            # A task that has noticed before this one breaks off the step for all.
            if self._loss is None and self._watch and isinstance(error, _BROKEN_OFF):
                self._loss = self._watch.find_loss(self._timeout / 2)
            if self._loss is None:
                raise
            raise LostTaskError(self._describe(self._loss)) from error
        finally:
            self._last_resort.cancel()
            self._let_peers_leave()

    def _let_peers_leave(self) -> None:
        """From now on the end of another task is no loss."""
        if self._watch:
            self._watch.stop()

    def _break_off(self, session: Any, loss: str) -> None:
        """End the step that waits for the lost task; in the watching thread."""
        self._loss = loss
        self._last_resort.start()
        session.close()

    def _give_up(self) -> None:
        """The step did not end, or the chief is busy elsewhere."""
        log.error("%s: %s.", self._cluster.own.name, self._describe(self._loss))
        os._exit(1)

    def _describe(self, loss: str | None) -> str:
        return (
            f"{loss or 'the exchange with the other tasks broke off'}; training cannot go on without. Start all tasks "
            "again and it resumes from the last checkpoint"
        )
