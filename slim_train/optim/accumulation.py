"""Gradient accumulation: an update of the variables from the mean gradient of several batches, one after another.

A step of N batches of B images equals a step of one batch of N * B images, at the memory of B: the first N - 1 batches
add their gradients up, the step of the last one uses the sum. Batch norm is the exception: each batch is normalized by
its own statistics, and moves the averages. Each task of a cluster adds up its own gradients; what they do with each
other's comes afterwards, as without accumulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slim_train.tf_compat import tf


class AccumulatedGradients:
    """Sums of losses and gradients, in local variables: checkpoints do not hold them.

    Args:
      loss: scalar, of the current batch.
      gradients: (gradient, variable) of that loss.
      update_ops: to run with every batch.
      num_batches: batches of an update, 2 at least.

    Attributes:
      loss: scalar, mean over the batches that were added up and the current one.
      gradients: (mean gradient, variable), likewise.
      add: op that adds the current batch up; run it ``num_batches - 1`` times before the step that uses the means.
    """

    def __init__(
        self, loss: Any, gradients: Sequence[tuple[Any, Any]], update_ops: Sequence[Any], num_batches: int
    ) -> None:
        current = [loss, *(tf.convert_to_tensor(gradient) for gradient, _ in gradients)]
        names = ["loss", *(variable.op.name for _, variable in gradients)]
        self._sums = [_zeros_like(value, name) for value, name in zip(current, names, strict=True)]
        means, additions = [], []
        for total, value in zip(self._sums, current, strict=True):
            with tf.device(value.device):
                means.append((total.read_value() + value) / num_batches)
                additions.append(total.assign_add(value, read_value=False))
        self._used = tf.group(*means)
        self.loss = means[0]
        self.gradients = [(mean, variable) for mean, (_, variable) in zip(means[1:], gradients, strict=True)]
        self.add = tf.group(*additions, *update_ops, name="accumulate")

    def reset(self) -> Any:
        """The op that sets the sums back to 0, once the means are computed."""
        with tf.control_dependencies([self._used]):
            return tf.group(*(_clear(total) for total in self._sums))


def _clear(total: Any) -> Any:
    with tf.device(total.device):
        return total.assign(tf.zeros(total.shape, total.dtype), read_value=False)


def _zeros_like(value: Any, name: str) -> Any:
    with tf.device(value.device):
        return tf.get_variable(
            f"accumulated/{name}",
            initializer=tf.zeros(value.shape, value.dtype),
            trainable=False,
            use_resource=True,
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
        )
