"""Gradient clipping by the global norm."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from slim_train.optim.step import Step
from slim_train.tf_compat import tf


def clip_by_global_norm(gradients: Sequence[tuple[Any, Any]], clip_norm: float) -> list[tuple[Any, Any]]:
    """Scale all gradients down together where their joint L2 norm is above ``clip_norm`` (Pascanu et al. 2012).

    Args:
      gradients: (gradient, variable); gradients are tensors or ``tf.IndexedSlices``.
      clip_norm: above 0.
    """
    clipped, norm = tf.clip_by_global_norm([gradient for gradient, _ in gradients], clip_norm)
    tf.summary.scalar("gradient_norm", norm)
    return [(gradient, variable) for gradient, (_, variable) in zip(clipped, gradients, strict=True)]


class Clipping:
    """The transform to clipped gradients.

    Args:
      norm: the highest global norm, above 0.
      device: where the norm is computed.
    """

    def __init__(self, norm: float, device: str) -> None:
        self._norm, self._device = norm, device

    def __call__(self, step: Step) -> Step:
        with tf.device(self._device):
            return dataclasses.replace(step, gradients=tuple(clip_by_global_norm(step.gradients, self._norm)))
