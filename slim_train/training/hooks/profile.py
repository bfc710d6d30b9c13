"""TensorBoard profiles of chosen steps."""

from __future__ import annotations

import logging
from typing import Any

import tensorflow

from slim_train.tf_compat import tf

log = logging.getLogger(__name__)


class Profile(tf.train.SessionRunHook):
    """Writes a TensorBoard profile of the steps ``first`` to ``last`` of this run, counted from 1."""

    def __init__(self, first: int, last: int, log_dir: str) -> None:
        self._first, self._last, self._log_dir = first, last, log_dir
        self._step = 0
        self._is_on = False

    def before_run(self, run_context: Any) -> None:
        self._step += 1
        if self._step == self._first:
            tensorflow.profiler.experimental.start(self._log_dir)
            self._is_on = True

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self._step == self._last:
            self.close()
            log.info("Profile of steps %d to %d written to %s.", self._first, self._last, self._log_dir)

    def close(self) -> None:
        """Stop profiling; training calls it however it ends, for a process has one profiler."""
        if self._is_on:
            self._is_on = False
            tensorflow.profiler.experimental.stop()
