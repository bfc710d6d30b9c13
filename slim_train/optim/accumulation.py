"""Gradient accumulation: an update of the variables from the mean gradient of several batches, one after another.

A step of N batches of B images equals a step of one batch of N * B images, at the memory of B: the first N - 1 batches
add their gradients up, the step of the last one uses the sum. Batch norm is the exception: each batch is normalized by
its own statistics, and moves the averages. Each task of a cluster adds up its own gradients; what they do with each
other's comes afterwards, as without accumulation.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from slim_train.optim.step import Step
from slim_train.tf_compat import tf


class Accumulation:
    """The transform to mean loss and gradients of several batches; their sums are in local variables, not checkpoints.

    Args:
      num_batches: batches of an update, at least 2.

    Attributes:
      num_batches: the same.
      add: op that adds the current batch; run it ``num_batches - 1`` times before each step. Made by the transform.
    """

    def __init__(self, num_batches: int) -> None:
        self.num_batches = num_batches
        self.add: Any = None

    def __call__(self, step: Step) -> Step:
        current = [step.loss, *(tf.convert_to_tensor(gradient) for gradient, _ in step.gradients)]
        names = ["loss", *(variable.op.name for _, variable in step.gradients)]
        sums = [_zeros_like(value, name) for value, name in zip(current, names, strict=True)]
        means, additions = [], []
        for total, value in zip(sums, current, strict=True):
            with tf.device(value.device):
                means.append((total.read_value() + value) / self.num_batches)
                additions.append(total.assign_add(value, read_value=False))
        used = tf.group(*means)
        self.add = tf.group(*additions, *step.update_ops, name="accumulate")

        def reset() -> Any:
            with tf.control_dependencies([used]):
                return tf.group(*(_clear(total) for total in sums))

        gradients = tuple((mean, variable) for mean, (_, variable) in zip(means[1:], step.gradients, strict=True))
        return dataclasses.replace(step, loss=means[0], gradients=gradients).closed_by(reset)


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
