"""A training step as a value, and what is done to it between the gradients and the update of the variables.

As in optax, each thing is a transform, a function from step to step, and a training is a chain of them::

    step = chain(Step(loss, gradients, update_ops), [accumulation, all_reduce, Clipping(10.0)])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Step:
    """What a step computes.

    Attributes:
      loss: scalar, regularization included.
      gradients: (gradient, variable) for each variable that is trained.
      update_ops: ops that run with the update of the variables, such as those of batch-norm statistics.
      closing_ops: functions that make ops to run once the variables are updated.
    """

    loss: Any
    gradients: tuple[tuple[Any, Any], ...]
    update_ops: tuple[Any, ...] = ()
    closing_ops: tuple[Callable[[], Any], ...] = ()

    def closed_by(self, make_op: Callable[[], Any]) -> Step:
        """Return this step with one more op to run once the variables are updated."""
        return dataclasses.replace(self, closing_ops=(*self.closing_ops, make_op))


Transform = Callable[[Step], Step]


def chain(step: Step, transforms: Iterable[Transform]) -> Step:
    """Apply the transforms to a step, one after the other."""
    for transform in transforms:
        step = transform(step)
    return step
