"""The state of every task of a job on this machine, as its supervisor sees it and as the tasks say. No TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

_PUBLISH_EVERY_SECS = 1.0
_IN_SESSION = ("training", "saving", "evaluating", "serving")
# What a task may report of itself.
_REPORTED = {
    "state": str,
    "waiting_for": list,
    "step": int,
    "last_step": int,
    "steps_per_second": float,
    "images_per_second": float,
    "warning": str,
    "lost": list,
}
_MAY_BE_NONE = ("step", "last_step", "steps_per_second", "images_per_second", "warning")


@dataclasses.dataclass
class TaskState:
    """The state of a task.

    Attributes:
      name: ``worker 1``.
      address: host:port of its TensorFlow server; None for an evaluator.
      state: one of :data:`deployment.task_status.STATES`; else ``not started``, ``lost``, ``restarting``, ``finished``,
        ``failed``, ``stopped``.
      waiting_for: what it waits for.
      pid: of its process; None if there is none.
      step: global step that it has seen last.
      last_step: global step at which training ends.
      steps_per_second: its own training steps.
      images_per_second: of the whole job.
      restarts: how often it was started again.
      exit_code: of its last process; negative for a signal, None while the first runs.
      warning: its last warning or error.
      lost: names of the tasks that do not answer it.
    """

    name: str
    address: str | None = None
    state: str = "not started"
    waiting_for: list[str] = dataclasses.field(default_factory=list)
    pid: int | None = None
    step: int | None = None
    last_step: int | None = None
    steps_per_second: float | None = None
    images_per_second: float | None = None
    restarts: int = 0
    exit_code: int | None = None
    warning: str | None = None
    lost: list[str] = dataclasses.field(default_factory=list)


class ClusterStatus:
    """The tasks of a job.

    Args:
      addresses: name -> host:port of each task, in the order in which they are shown.
      max_restarts: of each task.
    """

    def __init__(self, addresses: Mapping[str, str | None], max_restarts: int) -> None:
        self._tasks = {name: TaskState(name, address) for name, address in addresses.items()}
        self.max_restarts = max_restarts
        self.exit_code: int | None = None

    def started(self, name: str, pid: int) -> None:
        """A process of the task has been started."""
        task = self._tasks[name]
        task.pid = pid
        task.state = "restarting" if task.restarts else "starting"

    def reported(self, name: str, lines: bytes) -> None:
        """A task has reported something; what is not understood is ignored."""
        for line in lines.splitlines():
            self._take(self._tasks[name], line)

    def _take(self, task: TaskState, line: bytes) -> None:
        try:
            values = json.loads(line)
        except ValueError:
            return
        if not isinstance(values, dict):
            return
        for key, value in values.items():
            if _is_known(key, value):
                setattr(task, key, value)

    def ended(self, name: str, code: int, *, is_restarted: bool, is_stopping: bool) -> None:
        """The task's process has ended."""
        task = self._tasks[name]
        task.pid, task.exit_code, task.waiting_for, task.lost = None, code, [], []
        task.steps_per_second = task.images_per_second = None
        task.restarts += is_restarted
        if is_restarted:
            task.state = "restarting"
        else:
            task.state = "finished" if code == 0 else "stopped" if is_stopping else "failed"

    def hung(self, name: str) -> list[str]:
        """Return the tasks that do not answer the task ``name``, although they were training when last heard of.

        One that was started again does not answer yet either, and is not among them.
        """
        lost = [self._tasks[other] for other in self._tasks[name].lost if other in self._tasks]
        return [task.name for task in lost if task.pid is not None and task.state in _IN_SESSION]

    def tasks(self) -> list[TaskState]:
        """Return the tasks. One that runs, and does not answer another task that runs, is lost."""
        lost = {name for task in self._tasks.values() if task.pid is not None for name in task.lost}
        return [
            dataclasses.replace(task, state="lost") if task.name in lost and task.pid is not None else task
            for task in self._tasks.values()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return what a status file holds."""
        tasks = self.tasks()
        steps = [task.step for task in tasks if task.step is not None]
        return {
            "global_step": max(steps, default=None),
            "exit_code": self.exit_code,
            "max_restarts": self.max_restarts,
            "tasks": [dataclasses.asdict(task) for task in tasks],
        }


def _is_known(key: str, value: Any) -> bool:
    """Return whether a task may report this: programs of others do so, too."""
    kind = _REPORTED.get(key)
    if kind is None or isinstance(value, bool):
        return False
    if value is None:
        return key in _MAY_BE_NONE
    if kind is list:
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)


class Publisher:
    """Calls a function with the status of a job about once a second, and at its end.

    Args:
      status: of the job.
      publish: takes :meth:`ClusterStatus.to_dict`.
    """

    def __init__(self, status: ClusterStatus, publish: Callable[[dict[str, Any]], None]) -> None:
        self._status, self._publish = status, publish
        self._next = 0.0

    def __call__(self) -> None:
        if time.monotonic() >= self._next or self._status.exit_code is not None:
            self._next = time.monotonic() + _PUBLISH_EVERY_SECS
            self._publish(self._status.to_dict())


def in_words(task: TaskState, max_restarts: int) -> str:
    """Return the state of a task for people: ``waiting for ps 0``, ``failed: killed by SIGKILL``."""
    if task.state == "waiting" and task.waiting_for:
        # Addresses are in the log.
        return f"waiting for {', '.join(re.sub(r' [(].*?:[0-9]+[)]', '', name) for name in task.waiting_for)}"
    if task.state == "restarting":
        return f"restarting {task.restarts}/{max_restarts}"
    if task.state in ("failed", "stopped") and task.exit_code is not None:
        return f"{task.state}: {exit_in_words(task.exit_code)}"
    return task.state


def exit_in_words(code: int) -> str:
    """Return ``exit code 1`` or ``killed by SIGKILL``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # Real-time signals have no names.
        return f"killed by signal {-code}"
