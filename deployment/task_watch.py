"""Tasks that fall silent: noticed, said, and calls to them given up.

A process that ends resets its connections, and calls to it fail at once. A node that loses its power, a link that is
cut and a process that hangs say nothing: a call to them waits until TCP gives up, after a quarter of an hour. So each
task asks the tasks it depends on for their status (:mod:`deployment.peers`). After too long a silence it shuts down its
own connections to them, and the calls fail as if the task had ended.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable

from deployment import connections, task_status
from deployment.cluster import Task
from deployment.peers import Peers, secs_between_looks

log = logging.getLogger(__name__)

_MOST_SECS_IN_SILENCE = 1.0


class TaskWatch:
    """A thread that watches tasks for as long as it is entered as a context.

    A task that has never answered is not watched yet: it may not have been started.

    Args:
      tasks: those to watch; one without an address is not.
      timeout_secs: silence after which a task is lost; 0 watches nothing.
    """

    def __init__(self, tasks: Iterable[Task], timeout_secs: float) -> None:
        self._states = {task.name: _State(str(task.address)) for task in tasks if task.address and timeout_secs}
        self._timeout, self._interval = timeout_secs, secs_between_looks(timeout_secs)
        # From the first question without an answer on, so that a process that slept itself finds nobody lost.
        self._most_silence = timeout_secs - self._interval
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="task-watch", daemon=True)
        self._reconnected_at = math.inf

    def __enter__(self) -> TaskWatch:
        if self._states:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def is_lost(self, name: str) -> bool:
        """Return whether the task of this name has been silent for too long."""
        state = self._states.get(name)
        return state is not None and state.is_lost

    def has_heard(self, name: str) -> bool:
        """Return whether the task of this name has ever answered."""
        state = self._states.get(name)
        return state is not None and state.status is not None

    def forget(self, name: str) -> None:
        """The task has done its part and may leave."""
        self._states.pop(name, None)

    def reconnected(self) -> None:
        """All tasks have just answered: connections made from now on lead to living processes."""
        self._reconnected_at = time.monotonic()
        for name, state in list(self._states.items()):
            self._answers(name, state)

    def _watch(self) -> None:
        peers = Peers({name: state.address for name, state in self._states.items()})
        pause = self._interval
        while not self._stopped.wait(pause):
            asked = time.monotonic()
            statuses = peers.statuses(self._answer_secs(asked))
            if self._stopped.is_set():
                break
            watched = list(self._states.items())
            for name, state in watched:
                status = statuses[name]
                if status is not None:
                    self._heard(name, state, status)
                elif state.status is not None:
                    self._silent(name, state, asked)
            is_quiet = any(state.silent_since is not None for _, state in watched)
            pause = min(self._interval, _MOST_SECS_IN_SILENCE) if is_quiet else self._interval
        peers.close()

    def _answer_secs(self, now: float) -> float:
        """How long an answer may take: no longer than until a task that is silent is lost."""
        left = [
            state.silent_since + self._most_silence - now
            for state in list(self._states.values())
            if state.silent_since is not None and not state.is_lost
        ]
        return max(min([self._interval, *left]), self._interval / 10)

    def _heard(self, name: str, state: _State, status: bytes) -> None:
        if state.status != status or state.silent_since is not None:
            found_at = state.resolve()
            if state.status not in (None, status):
                # The process before may have gone without resetting its connections.
                is_noticed = state.heard_at < self._reconnected_at
                if connections.shut_down(state.known_at - found_at if is_noticed else state.known_at):
                    log.warning("%s (%s) has been replaced: giving up calls to the one before.", name, state.address)
                state.known_at = frozenset()
            state.known_at |= found_at
        state.status, state.heard_at = status, time.monotonic()
        self._answers(name, state)

    def _answers(self, name: str, state: _State) -> None:
        with self._lock:
            was_lost = state.is_lost
            state.silent_since, state.is_lost = None, False
        if was_lost:
            self._report_lost()
            log.info("%s (%s) answers again.", name, state.address)

    def _silent(self, name: str, state: _State, asked: float) -> None:
        if state.silent_since is None:
            state.silent_since = asked
        if time.monotonic() - state.silent_since < self._most_silence:
            return
        if not state.is_lost:
            log.warning(
                "%s (%s) has not answered for %g s (--task_timeout_secs): giving up calls to it.",
                name, state.address, self._timeout,
            )  # fmt: skip
            state.is_lost = True
            self._report_lost()
        # Again at each look: a hung process still accepts connections.
        connections.shut_down(state.known_at)

    def _report_lost(self) -> None:
        task_status.report(lost=[name for name, state in list(self._states.items()) if state.is_lost])


class _State:
    """What is known of a task.

    Attributes:
      address: host:port.
      status: what it has answered; None before its first answer.
      heard_at: when it last answered.
      silent_since: when it was first asked without an answer; None if it has answered since.
      is_lost: whether the silence is too long.
      known_at: the addresses that its host name has had.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.status: bytes | None = None
        self.heard_at = 0.0
        self.silent_since: float | None = None
        self.is_lost = False
        self.known_at: frozenset[connections.Address] = frozenset()

    def resolve(self) -> frozenset[connections.Address]:
        host, _, port = self.address.rpartition(":")
        return connections.resolve(host.strip("[]"), int(port))
