"""How a task is doing, for the program that started it. No TensorFlow.

``launch_cluster`` gives each task a pipe, named in the environment. What a task knows of itself goes there, as lines of
JSON. Without a pipe nothing happens.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

# Set in the environment of a task: the file descriptor to write to, and the inode of the pipe. A program in between may
# have closed it, so that the number belongs to another file.
PIPE = "SLIM_TRAIN_STATUS_PIPE"

STATES = ("starting", "waiting", "training", "saving", "evaluating", "serving")

# What is written to a pipe at once stays together up to this many bytes (PIPE_BUF), and none of it must be lost.
_MOST_BYTES = 4096
_MOST_CHARACTERS_OF_WARNING = 300
_MOST_NAMES = 20
# A handler of a signal may log a warning, and so report, in the middle of a report.
_lock = threading.RLock()
_state: dict[str, Any] = {"state": "starting", "waiting_for": []}


def report(**values: Any) -> None:
    """Report values that have changed: ``state``, ``waiting_for``, ``step``, ``last_step``, ``steps_per_second``,
    ``images_per_second``, ``warning``, ``lost``.
    """
    with _lock:
        _state.update({name: values[name] for name in _state if name in values})
        line = (json.dumps({name: _shortened(value) for name, value in values.items()}) + "\n").encode()
        pipe = _pipe()
        # The reader may be gone, or slow: nothing waits for it.
        if pipe is not None and len(line) <= _MOST_BYTES:
            with contextlib.suppress(OSError):
                os.write(pipe, line)


def _shortened(value: Any) -> Any:
    if not isinstance(value, list) or len(value) <= _MOST_NAMES:
        return value
    return [*value[:_MOST_NAMES], f"{len(value) - _MOST_NAMES} more"]


def describe_pipe(pipe: int) -> str:
    """Return what the environment of a task says of its pipe."""
    return f"{pipe}:{os.fstat(pipe).st_ino}"


def _pipe() -> int | None:
    named = os.environ.get(PIPE, "")
    with contextlib.suppress(OSError, ValueError):
        pipe = int(named.partition(":")[0])
        if describe_pipe(pipe) == named:
            return pipe
    return None


@contextlib.contextmanager
def during(state: str, waiting_for: Sequence[str] = ()) -> Iterator[None]:
    """Report ``state`` for the time of a block, and afterwards the state before."""
    before = dict(_state)
    report(state=state, waiting_for=list(waiting_for))
    try:
        yield
    finally:
        report(**before)


class ReportWarnings(logging.Handler):
    """Reports the warnings and errors of the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Report the first line of a record."""
        report(warning=record.getMessage().partition("\n")[0][:_MOST_CHARACTERS_OF_WARNING])
