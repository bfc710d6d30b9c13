"""Notices that no executor runs the tasks of a session. No TensorFlow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

_SECONDS = 60.0


class IdleWatch:
    """Warns if stages wait, and no task of them runs: executors are lost, or there are none yet.

    Args:
      is_idle: returns the current state, as :func:`is_idle` does.
      where: the flag that names the cluster, for the warning.
      seconds: to wait before the warning.
      clock: gives seconds.
    """

    def __init__(
        self,
        is_idle: Callable[[], bool],
        where: str,
        seconds: float = _SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_idle, self._where, self._seconds, self._clock = is_idle, where, seconds, clock
        self._since: float | None = None
        self._warned = False

    def look(self) -> None:
        """Look at the session; call it about once per second, in any thread. An error is logged for debugging."""
        try:
            is_idle = self._is_idle()
        except Exception:
            # Of Py4J, when the session ends at this moment.
            log.debug("The state of the executors is not known:", exc_info=True)
            return
        if not is_idle:
            if self._warned:
                log.info("%s: executors run tasks again.", self._where)
            self._since, self._warned = None, False
            return
        self._since = self._clock() if self._since is None else self._since
        if not self._warned and self._clock() - self._since >= self._seconds:
            self._warned = True
            log.warning(
                "%s: no executor has run a task for %.0f seconds. Are workers running, with free cores and the memory "
                "of spark.executor.memory and the GPUs that are asked for? The job goes on when there are some; "
                "Ctrl-C ends it.",
                self._where,
                self._seconds,
            )


def is_idle(session: Any) -> bool:
    """Return whether a stage of a session waits and none of its tasks runs; always False over Spark Connect."""
    context = getattr(session, "sparkContext", None) if not is_connect(session) else None
    if context is None:
        return False
    tracker = context.statusTracker()
    found = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    stages = [stage for stage in found if stage and stage.numCompletedTasks < stage.numTasks]
    return bool(stages) and not any(stage.numActiveTasks for stage in stages)


def is_connect(session: Any) -> bool:
    """Return whether a session is one of Spark Connect, which has no context."""
    return type(session).__module__.startswith("pyspark.sql.connect")
