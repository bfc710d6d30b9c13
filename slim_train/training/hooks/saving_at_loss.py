"""A checkpoint when a task of the job falls silent: the next one may be a parameter server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from deployment.cluster import Task
from deployment.peers import Peers, secs_between_looks
from slim_train.training.graph import TrainingGraph
from slim_train.training.hooks.saving import SavingHook

log = logging.getLogger(__name__)


class SaveAtLoss(SavingHook):
    """Saves a checkpoint after the step in which another task that trains is found to be gone.

    A worker that is lost costs the job nothing, but what took it, such as a failing switch, may take a parameter server
    next. A task that has never answered is not missed, and one that is gone is not missed twice.

    Args:
      graph: the training graph.
      others: the other tasks that train.
      timeout_secs: silence after which a task is gone; 0 watches nothing.
      saver: see the base class.
      train_dir: the training folder.
    """

    def __init__(
        self,
        graph: TrainingGraph,
        others: Iterable[Task],
        timeout_secs: float,
        saver: Callable[[], Any],
        train_dir: Path,
    ) -> None:
        super().__init__(graph, saver, train_dir)
        self._peers = Peers({task.name: str(task.address) for task in others if task.address})
        self._timeout, self._interval = timeout_secs, secs_between_looks(timeout_secs)
        self._is_due = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="save-at-loss", daemon=True)
        if timeout_secs and self._peers.names:
            self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._stopped.set()

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self._is_due.is_set():
            self._is_due.clear()
            self.save(run_context.session)

    def end(self, session: Any) -> None:
        self.close()

    def _watch(self) -> None:
        heard: dict[str, float] = {}
        while not self._stopped.wait(self._interval):
            asked = time.monotonic()
            statuses = self._peers.statuses(self._interval)
            heard |= {name: time.monotonic() for name, status in statuses.items() if status is not None}
            gone = [name for name, heard_at in heard.items() if asked - heard_at > self._timeout - self._interval]
            if gone and not self._stopped.is_set():
                names = ", ".join(map(self._peers.describe, gone))
                log.warning("%s no longer answers: saving a checkpoint while the parameter servers do.", names)
                self._is_due.set()
                for name in gone:
                    del heard[name]
        self._peers.close()
