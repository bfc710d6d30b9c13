"""Scalars for TensorBoard."""

from __future__ import annotations

from slim_train.tf_compat import tf


def add_scalars(log_dir: str | None, step: int, values: dict[str, float]) -> None:
    """Write scalars for TensorBoard to the event file of this process in ``log_dir``; nothing where that is None."""
    if log_dir is not None:
        summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        tf.summary.FileWriterCache.get(log_dir).add_summary(summary, step)
