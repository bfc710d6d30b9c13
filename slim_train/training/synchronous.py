"""Synchronous replicas on parameter servers: a step that waits for workers that are gone.

The gradient that a lost worker owes a step never comes, and without backup workers the others wait for it in their
steps. No connection of theirs leads to that worker, so nothing fails. So each task asks the other tasks that train for
their status, says for whom it waits, and gives up after a while.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from deployment import task_status
from deployment.cluster import Task
from deployment.peers import Peers, secs_between_looks
from deployment.servers import LostTaskError
from slim_train.checkpoints.training_folder import PREFIX
from slim_train.tf_compat import tf
from slim_train.training import sessions

log = logging.getLogger(__name__)


class StepWatch(tf.train.SessionRunHook):
    """A hook and a thread, for as long as it is entered as a context, that notice for whom a step waits.

    Args:
      others: the other tasks that train.
      num_gradients: gradients that a step needs.
      wait_secs: how long a step may wait for tasks that are gone; 0: forever.
      timeout_secs: silence after which a task is gone; 0 watches nothing.
      give_up: called once, in the thread, with the session, when the wait is over.

    Attributes:
      loss: what is then wrong; None before.
    """

    def __init__(
        self,
        others: Iterable[Task],
        num_gradients: int,
        wait_secs: float,
        timeout_secs: float,
        give_up: Callable[[Any], None],
    ) -> None:
        self.loss: str | None = None
        self._peers = Peers({task.name: str(task.address) for task in others if task.address})
        self._num_gradients, self._wait_secs, self._timeout = num_gradients, wait_secs, timeout_secs
        self._interval = secs_between_looks(timeout_secs)
        self._give_up = give_up
        self._session: Any = None
        # A task makes at most this many steps with the gradients that others left. So a task that was last heard before
        # them has left without owing one.
        self._began: deque[float] = deque(maxlen=num_gradients + 1)
        self._is_in_step = False
        self._heard: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="step-watch", daemon=True)

    def __enter__(self) -> StepWatch:
        if self._timeout:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._session = session

    def before_run(self, run_context: Any) -> None:
        self._began.append(time.monotonic())
        self._is_in_step = True

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self._is_in_step = False

    def _watch(self) -> None:
        waits_since: float | None = None
        while not self._stopped.wait(self._interval):
            statuses = self._peers.statuses(self._interval)
            now = time.monotonic()
            self._heard |= {name: now for name, status in statuses.items() if status is not None}
            gone = self._gone(now)
            if not gone:
                if waits_since is not None:
                    task_status.report(state="training", waiting_for=[])
                waits_since = None
                continue
            names = ", ".join(map(self._peers.describe, gone))
            needs = f"each step needs {self._num_gradients} gradients (--replicas_to_aggregate)"
            if waits_since is None:
                waits_since = now
                task_status.report(state="waiting", waiting_for=gone)
                log.warning("Waiting for %s: %s.", names, needs)
            elif self._wait_secs and now - waits_since > self._wait_secs:
                task_status.report(lost=gone)
                self.loss = f"waited {self._wait_secs:g} s without success for {names}: {needs}"
                self._give_up(self._session)
                break
        self._peers.close()

    def _gone(self, now: float) -> list[str]:
        """Return the names of the tasks that the current step waits for."""
        began = list(self._began)
        if not self._is_in_step or now - began[-1] < self._timeout:
            return []
        first = began[0] - 2 * self._interval
        return [
            name
            for name in self._peers.names
            if name not in self._heard or (first < self._heard[name] < now - self._timeout)
        ]


class SessionCreator(sessions.SessionCreator):
    """Makes the sessions of a synchronous task, and gives up when a step waits for lost workers for too long.

    Args:
      num_gradients: gradients that a step needs.
      **kwargs: those of :class:`slim_train.training.sessions.SessionCreator`.
    """

    def __init__(self, num_gradients: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._step_watch = StepWatch(
            self._cluster.other_training_tasks,
            num_gradients,
            self._wait_secs,
            kwargs.get("task_timeout_secs", 0),
            self._give_up,
        )

    def create_session(self) -> Any:
        """See the base class.

        Raises:
          LostTaskError: also if the session before was given up.
        """
        if self._step_watch.loss:
            raise LostTaskError(self._step_watch.loss)
        return super().create_session()

    def coordinate(self, hooks: Sequence[Any]) -> list[Any]:
        """Return the hooks, and the one that notices for whom a step waits."""
        return [*super().coordinate(hooks), self._step_watch]

    @contextlib.contextmanager
    def naming_losses(self) -> Iterator[None]:
        """Around the loop: a step that was given up becomes a LostTaskError that names the tasks."""
        try:
            with super().naming_losses(), self._step_watch:
                yield
        except (tf.errors.OpError, RuntimeError) as error:
            if self._step_watch.loss is None or isinstance(error, LostTaskError):
                raise
            raise LostTaskError(self._step_watch.loss) from error

    def _give_up(self, session: Any) -> None:
        """Save what has been learned, and end the step that waits."""
        try:
            if self._cluster.role == "chief":
                with session.graph.as_default():
                    step = self._step(session)
                    self._scaffold.saver.save(session, str(self._train_dir / PREFIX), global_step=step)
        except (tf.errors.OpError, RuntimeError) as error:
            log.warning("Cannot save a checkpoint: %s", error)
        finally:
            session.close()
