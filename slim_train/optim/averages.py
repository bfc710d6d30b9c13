"""Moving averages of variables, as evaluation may want them instead of the variables."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from deployment.tf_private import uncached
from slim_train.optim.step import Step
from slim_train.tf_compat import tf


class MovingAverages(tf.train.ExponentialMovingAverage):
    """TensorFlow's moving averages, made from the variables as they are after the step.

    Where variables live on parameter servers a step reads each of them once, at its start, and TensorFlow's averages
    would take that copy: the values before the step, sent over the network once more.
    """

    def apply(self, var_list: Any = None) -> Any:
        """Return the op that updates the averages of ``var_list``; run it after the variables' update."""
        with uncached(var_list):
            return super().apply(var_list)


class Averaging:
    """The transform to a step that also moves averages of the variables.

    Args:
      averages: the averages.
      variables: that are averaged.
    """

    def __init__(self, averages: MovingAverages, variables: Sequence[Any]) -> None:
        self._averages, self._variables = averages, variables

    def __call__(self, step: Step) -> Step:
        return step.closed_by(functools.partial(self._averages.apply, self._variables))
