"""The role of a parameter server, and how it learns that its job is over.

TensorFlow's own ``server.join()`` never returns. Here each training task leaves a token in a queue that lives on the
server, after its training session has closed, and the server goes when it has the token of every task that can still be
waited for.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterable
from types import FrameType
from typing import Any

import tensorflow.compat.v1 as tf

from deployment import task_status
from deployment.cluster import ClusterConfig, Task
from deployment.servers import (
    POLL_SECS,
    LostTaskError,
    is_reachable,
    parameter_server_config,
    reason,
    start_server,
    unreachable,
    wait_until_none_missing,
)
from deployment.signals import handled
from deployment.task_watch import TaskWatch

log = logging.getLogger(__name__)

_CALL_TIMEOUT_MS = 10_000
# How long a worker may be out of reach, once the chief is done, before a parameter server leaves without its token.
_LOST_WORKER_SECS = 10.0
# Cluster managers send SIGTERM to a whole job at once and kill what is left 30 s later: until then the chief, which
# saves a checkpoint, needs the variables.
_TERMINATION_GRACE_SECS = 20.0


def serve_parameters(
    cluster: ClusterConfig, wait_secs: float = 0, idle_timeout_secs: float = 0, task_timeout_secs: float = 0
) -> None:
    """The role of a parameter server: hold variables until every training task is done.

    A worker that cannot be reached once the chief is done is not waited for: nothing that it does can matter any more.
    SIGTERM and Ctrl-C end the process, at once where nobody needs the variables, else when the chief, told to stop by
    the same signal, is done or gone, after 20 s at the latest. For the main thread, which gets the signals.

    Args:
      wait_secs: how long to wait for the chief to appear; 0 waits forever.
      idle_timeout_secs: how long the chief may be gone before it is done; 0 waits forever.
      task_timeout_secs: silence after which a training task is lost, and calls to it are given up; 0: never.

    Raises:
      ClusterError: the port is taken.
      LostTaskError: the chief did not appear, or has been gone for too long.
    """
    server = start_server(cluster, parameter_server_config(cluster))
    task_status.report(state="serving")
    log.info("Serving parameters at %s until every training task is done.", cluster.own.address)
    training = {task.number: task for task in cluster.training_tasks}
    with tf.Graph().as_default(), TaskWatch(training.values(), task_timeout_secs) as watch:
        tokens = _DoneTokens(cluster.own, training, watch)
        with tf.Session(server.target, config=parameter_server_config(cluster)) as session:
            chief = training.get(0)
            if chief:
                wait_until_none_missing(lambda: [] if 0 in tokens.take(session) else unreachable([chief]), wait_secs)
            termination = _Termination()
            with handled((signal.SIGTERM, signal.SIGINT), termination.receive):
                _wait_for_chief(chief, tokens, session, idle_timeout_secs, termination, watch)
                _wait_for_others(training, tokens, session, watch)
    log.info("Every training task is done.")


def report_done(cluster: ClusterConfig, server_target: str) -> None:
    """Tell every parameter server that this task is done. Call it once the task's training session is closed.

    A server that is not there, or goes while it is told, is ignored.
    """
    for task in cluster.tasks:
        if task.job != "ps" or not task.address or not is_reachable(task):
            continue
        config = tf.ConfigProto(
            device_filters=[cluster.own.device, task.device], operation_timeout_in_ms=_CALL_TIMEOUT_MS
        )
        with tf.Graph().as_default():
            put = _done_queue(task).enqueue([cluster.own.number])
            try:
                with tf.Session(server_target, config=config) as session:
                    session.run(put)
            except tf.errors.OpError as error:
                log.warning("%s could not be told that this task is done: %s", task.name, reason(error))


def _wait_for_chief(
    chief: Task | None,
    tokens: _DoneTokens,
    session: Any,
    idle_timeout_secs: float,
    termination: _Termination,
    watch: TaskWatch,
) -> None:
    absence = _Absence([chief] if chief else [], watch)
    while 0 not in tokens.take(session):
        gone_secs = absence.seconds()
        if termination.is_due(chief_is_gone=gone_secs > 0):
            termination.happen()
        if idle_timeout_secs and gone_secs > idle_timeout_secs:
            assert chief is not None
            raise LostTaskError(
                f"{chief.name} ({chief.address}) has been gone for more than {idle_timeout_secs:g} s "
                "(--ps_idle_timeout_secs) without having finished"
            )
        time.sleep(POLL_SECS)


def _wait_for_others(training: dict[int, Task], tokens: _DoneTokens, session: Any, watch: TaskWatch) -> None:
    absences = {number: _Absence([task], watch) for number, task in training.items()}
    lost: set[int] = set()
    while late := absences.keys() - tokens.take(session) - lost:
        for number in sorted(late):
            if absences[number].seconds() > _LOST_WORKER_SECS:
                log.warning("%s is gone; not waiting for it.", training[number].name)
                lost.add(number)
        time.sleep(POLL_SECS)


class _DoneTokens:
    """The numbers of the tasks that have reported to a parameter server that they are done."""

    def __init__(self, server: Task, training: dict[int, Task], watch: TaskWatch) -> None:
        self._watch = watch
        queue = _done_queue(server)
        self._count, self._take = queue.size(), queue.dequeue()
        self._training = training
        self._taken: set[int] = set()

    def take(self, session: Any) -> set[int]:
        """Take the tokens that have come; all so far."""
        for _ in range(session.run(self._count)):
            number = int(session.run(self._take))
            if number not in self._taken:
                self._taken.add(number)
                task = self._training.get(number)
                if task:
                    self._watch.forget(task.name)
                log.info("%s is done.", task.name if task else f"Worker {number}")
        return self._taken


class _Termination:
    """Puts SIGTERM and SIGINT off for as long as the chief may need the variables."""

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._deadline = 0.0

    def receive(self, number: int, _frame: FrameType | None) -> None:
        self._received, is_first = signal.Signals(number), self._received is None
        if not is_first and number == signal.SIGINT:
            self.happen()
        self._deadline = time.monotonic() + _TERMINATION_GRACE_SECS

    def is_due(self, chief_is_gone: bool) -> bool:
        """Return whether a signal has come and nobody is left to wait for, or no time."""
        return self._received is not None and (chief_is_gone or time.monotonic() > self._deadline)

    def happen(self) -> None:
        """End as the signal would have ended this process."""
        assert self._received is not None
        log.warning("%s: ending before the job has.", self._received.name)
        signal.signal(self._received, signal.SIG_DFL)
        os.kill(os.getpid(), self._received)


class _Absence:
    """For how long tasks have been out of reach or lost; a task without an address never is."""

    def __init__(self, tasks: Iterable[Task], watch: TaskWatch) -> None:
        self._tasks, self._watch = list(tasks), watch
        self._since: float | None = None

    def seconds(self) -> float:
        """0 while they answer; more than 0 from the first look at which they do not."""
        if not unreachable(self._tasks) and not any(self._watch.is_lost(task.name) for task in self._tasks):
            self._since = None
            return 0.0
        self._since = self._since or time.monotonic() - 1e-3
        return time.monotonic() - self._since


def _done_queue(server: Task) -> Any:
    """Return the queue of task numbers on a parameter server: the same one for every session that makes it."""
    with tf.device(f"{server.device}/device:CPU:0"):
        return tf.FIFOQueue(-1, tf.int32, shapes=(), shared_name="done_tasks")
