"""All-reduce: what a task computes from its own images becomes the mean over all tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from deployment.collectives import ReplicaGroup, SynchronizedStep, synchronize_step
from slim_train.optim.step import Step
from slim_train.tf_compat import tf


class AllReduce:
    """The transform to the step of all tasks together, see :func:`deployment.collectives.synchronize_step`.

    Args:
      group: the tasks.
      model_variables: of the net; those that are not trained follow the images, as batch-norm statistics do.

    Attributes:
      group: the same.
      synchronized: the step of all tasks, with which they stop together. Made by the transform.
    """

    def __init__(self, group: ReplicaGroup, model_variables: Sequence[Any]) -> None:
        self.group = group
        self._model_variables = model_variables
        self.synchronized: SynchronizedStep | None = None

    def __call__(self, step: Step) -> Step:
        trainable = {variable.op.name for variable in tf.trainable_variables()}
        statistics = [variable for variable in self._model_variables if variable.op.name not in trainable]
        self.synchronized = synchronize_step(
            self.group, step.loss, step.gradients, step.update_ops, statistics if step.update_ops else []
        )
        return dataclasses.replace(
            step,
            loss=self.synchronized.loss,
            gradients=tuple(self.synchronized.gradients),
            update_ops=tuple(self.synchronized.update_ops),
        )
