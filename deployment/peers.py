"""Are the other tasks of a cluster alive? Asked of their TensorFlow servers, without a session.

A collective op waits for the other tasks for as long as it takes, and rightly so: one of them may be evaluating. It
learns by itself that a task has died when a connection breaks in the middle of an exchange, but not when the task
hangs, its machine vanishes, or the cluster manager puts a new process in its place before anybody speaks to the old
one. So each task asks the others' servers for their status from time to time. The answer names the server's devices
with their incarnation, a number drawn when a server starts: another number means another process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import grpc  # TensorFlow requires it.

from deployment import task_status

_GET_STATUS = "/tensorflow.WorkerService/GetStatus"
_CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # Like TensorFlow's own connections.
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
)


def secs_between_looks(timeout_secs: float) -> float:
    """Return the pause between two questions to a task that is gone after ``timeout_secs`` without an answer."""
    return min(5.0, timeout_secs / 5)


class Peers:
    """Other tasks, by the name that messages give them.

    Args:
      addresses: name -> host:port of their TensorFlow server.
    """

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = dict(addresses)
        self._channels: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._addresses)

    def statuses(self, timeout_secs: float) -> dict[str, bytes | None]:
        """Return what each server answers within ``timeout_secs``; None if there is no answer.

        The same server process always answers the same, and no two processes do. After a missing answer the next
        question goes over a new connection: the old one may wait long for a link that works again.
        """
        with self._lock:
            for name in self._addresses.keys() - self._channels.keys():
                self._channels[name] = grpc.insecure_channel(self._addresses[name], _CHANNEL_OPTIONS)
            calls = {name: channel.unary_unary(_GET_STATUS) for name, channel in self._channels.items()}
            answers = {name: call.future(b"", timeout=timeout_secs) for name, call in calls.items()}
            statuses = {name: None if answer.exception() else answer.result() for name, answer in answers.items()}
            for name in [name for name, status in statuses.items() if status is None]:
                self._channels.pop(name).close()
        return statuses

    def describe(self, name: str) -> str:
        """``worker 1 (host:port)``."""
        return f"{name} ({self._addresses[name]})"

    def close(self) -> None:
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()


class PeerWatch:
    """A thread that asks the peers for their status and calls ``on_loss`` when one of them is gone.

    A peer is gone when another process answers in its place, or nobody answers for ``patience_secs``.

    Args:
      peers: the tasks to watch.
      expected: what each one's server answered when the tasks met.
      patience_secs: how long a peer may stay silent.
      on_loss: called once, in the thread, with a sentence that names the tasks that are gone.
    """

    def __init__(
        self, peers: Peers, expected: Mapping[str, bytes], patience_secs: float, on_loss: Callable[[str], None]
    ) -> None:
        self._peers, self._expected = peers, dict(expected)
        self._patience, self._interval = patience_secs, secs_between_looks(patience_secs)
        self._on_loss = on_loss
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peer-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """From now on peers may leave. Call it before they can."""
        self._stopped.set()

    def find_loss(self, timeout_secs: float) -> str | None:
        """Ask now, for when something else suggests that a peer is gone: a sentence naming it, or None.

        A single missing answer counts.
        """
        deadline = time.monotonic() + timeout_secs
        while True:
            statuses = self._peers.statuses(min(1.0, timeout_secs))
            loss = self._sentence(
                silent=[name for name, status in statuses.items() if status is None],
                replaced=self._replaced(statuses),
            )
            if loss or time.monotonic() > deadline:
                return loss
            time.sleep(0.2)

    def _watch(self) -> None:
        last_heard = dict.fromkeys(self._expected, time.monotonic())
        while not self._stopped.wait(self._interval):
            statuses = self._peers.statuses(self._interval)
            now = time.monotonic()
            last_heard |= {name: now for name, status in statuses.items() if status is not None}
            silent = [name for name, heard in last_heard.items() if now - heard > self._patience]
            loss = self._sentence(silent, self._replaced(statuses))
            if loss and not self._stopped.is_set():
                self._on_loss(loss)
                return

    def _replaced(self, statuses: Mapping[str, bytes | None]) -> list[str]:
        return [name for name, status in statuses.items() if status is not None and status != self._expected[name]]

    def _sentence(self, silent: list[str], replaced: list[str]) -> str | None:
        if silent:
            task_status.report(lost=silent)
        parts = [f"{self._peers.describe(name)} no longer answers" for name in silent]
        parts += [f"{self._peers.describe(name)} has been restarted" for name in replaced]
        return ", ".join(parts) or None
