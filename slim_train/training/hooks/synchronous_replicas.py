"""Synchronous replicas on parameter servers."""

from __future__ import annotations

from typing import Any

from slim_train.tf_compat import tf


class SynchronousSteps(tf.train.SessionRunHook):
    """Runs the parts of ``tf.train.SyncReplicasOptimizer`` that lie outside of the training op.

    TensorFlow's hook for it closes the token queue whenever a session of the chief ends; the queue outlives a lost
    session, and then nobody could go on. It also starts with tokens to spare, with which a worker alone could make the
    first steps.

    Args:
      optimizer: a SyncReplicasOptimizer whose gradients are applied.
      spare_tokens: tokens to start with; those by which the gradients of a step outnumber the workers.
    """

    def __init__(self, optimizer: Any, is_chief: bool, spare_tokens: int) -> None:
        self._is_chief = is_chief
        self._start = [optimizer.chief_init_op if is_chief else optimizer.local_step_init_op]
        # The session creator has asked already; TensorFlow complains of what nobody runs.
        optimizer.ready_for_local_init_op.mark_used()
        if is_chief:
            runner = optimizer.get_chief_queue_runner()
            nothing = tf.no_op()
            self._runner = tf.train.QueueRunner(
                runner.queue, runner.enqueue_ops, close_op=nothing, cancel_op=nothing,
                queue_closed_exception_types=(tf.errors.OutOfRangeError, tf.errors.CancelledError),
            )  # fmt: skip
            self._start.append(optimizer.get_init_tokens_op(spare_tokens))
        else:
            # A worker that leaves holds a token of this step. Without it the others would wait for its gradient.
            self._return_token = optimizer.get_init_tokens_op(max(1, spare_tokens))

    def after_create_session(self, session: Any, coord: Any) -> None:
        for op in self._start:
            session.run(op)
        if self._is_chief:
            self._runner.create_threads(session, coord=coord, daemon=True, start=True)

    def end(self, session: Any) -> None:
        if not self._is_chief:
            session.run(self._return_token)
