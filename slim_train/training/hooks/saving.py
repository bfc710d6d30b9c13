"""Checkpoints by steps, and those that could not be saved in time, beside those by time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slim_train.checkpoints.training_folder import PREFIX
from slim_train.tf_compat import tf
from slim_train.training.graph import TrainingGraph


class SavingHook(tf.train.SessionRunHook):
    """Base of hooks that save checkpoints.

    Args:
      graph: the training graph.
      saver: gives the saver of all variables, once the graph is finished.
      train_dir: the training folder.
    """

    def __init__(self, graph: TrainingGraph, saver: Callable[[], Any], train_dir: Path) -> None:
        self.global_step, self.saver, self._prefix = graph.global_step, saver, str(train_dir / PREFIX)

    def save(self, session: Any) -> int:
        """Save a checkpoint of the current global step, which other workers may have moved on, and return the step."""
        step = int(session.run(self.global_step))
        self.saver().save(session, self._prefix, global_step=step)
        return step


class SaveEverySteps(SavingHook):
    """Saves a checkpoint whenever the global step passes a multiple of ``every_n_steps``.

    Args:
      graph: the training graph.
      every_n_steps: global steps between checkpoints. Other workers make some of them.
      saver: see the base class.
      train_dir: the training folder.
    """

    def __init__(self, graph: TrainingGraph, every_n_steps: int, saver: Callable[[], Any], train_dir: Path) -> None:
        super().__init__(graph, saver, train_dir)
        self._every = every_n_steps
        self._fetches = tf.train.SessionRunArgs(graph.step)
        self._saved = 0

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._saved = int(session.run(self.global_step))

    def before_run(self, run_context: Any) -> Any:
        return self._fetches

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if int(run_values.results) // self._every > self._saved // self._every:
            self._saved = self.save(run_context.session)


class CatchUp(SavingHook):
    """Saves a checkpoint as soon as that is possible again, after one could not be saved, and looks after uploads.

    At the end of training it waits a minute for that. It comes after the hooks that save, and its saver is a
    ``PatientSaver``.
    """

    def after_run(self, run_context: Any, run_values: Any) -> None:
        saver = self.saver()
        saver.poll()
        if saver.is_retry_due:
            self.save(run_context.session)

    def end(self, session: Any) -> None:
        saver = self.saver()
        ends_at = time.monotonic() + saver.secs_at_end
        while saver.is_behind:
            time.sleep(1)
            if time.monotonic() > ends_at:
                saver.lose_patience()
            self.save(session)
        saver.finish()
