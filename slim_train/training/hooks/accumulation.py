"""Gradients of several batches for each step."""

from __future__ import annotations

from typing import Any

from slim_train.tf_compat import tf


class AccumulateGradients(tf.train.SessionRunHook):
    """Adds up the gradients of batches before each step, whose own batch is the last.

    Args:
      accumulate_op: adds up those of one batch.
      num_batches: how many.
    """

    def __init__(self, accumulate_op: Any, num_batches: int) -> None:
        self._accumulate_op, self._num_batches = accumulate_op, num_batches

    def before_run(self, run_context: Any) -> None:
        for _ in range(self._num_batches):
            run_context.session.run(self._accumulate_op)
