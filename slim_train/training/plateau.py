"""A training that does not learn: its loss stays where a constant answer has it. No TensorFlow.

A net whose units have died, or whose labels have nothing to do with its images, learns the class shares and nothing
else. Its cross entropy is then the entropy of these shares, which is known before the first step.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence

import numpy as np

# Three windows in a row must lie on the plateau, and the last one no lower than the first.
_WINDOW = 100
_WINDOWS = 3
# Relative to the loss of the constant answer.
_TOLERANCE = 0.02
_DESCENT = 0.01
# Of a training shorter than that, the last third is judged at its end; with fewer steps than this, nothing is.
_FEWEST_STEPS = 60


def constant_answer_loss(
    class_shares: Sequence[float], label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None
) -> float:
    """Return the lowest cross entropy that one answer for all images can have.

    Mixed images (mixup, CutMix) change nothing: the mean of their labels is that of the images.

    Args:
      class_shares: share of each class in the data, [C], for all classes of the net.
      label_smoothing: share of the target spread evenly over the classes.
      class_weights: factor of each class in the loss, [C]; None weighs all alike.
    """
    shares = np.asarray(class_shares, np.float64)
    weighted = shares / shares.sum() * (1.0 if class_weights is None else np.asarray(class_weights, np.float64))
    # What the loss sums over: weight on each class's log probability.
    targets = (1.0 - label_smoothing) * weighted + label_smoothing * weighted.sum() / len(weighted)
    answer = targets / targets.sum()
    present = targets > 0
    return float(-(targets[present] * np.log(answer[present])).sum())


@dataclasses.dataclass(frozen=True)
class Plateau:
    """Where a training stood still.

    Attributes:
      since_step: global step at which the loss was first seen to stay.
      loss: mean data loss there, without regularization.
      constant_answer_loss: the loss of the best constant answer.
      left_at_step: global step at which the loss was seen to have fallen below it; None while it has not.
    """

    since_step: int
    loss: float
    constant_answer_loss: float
    left_at_step: int | None = None


class PlateauWatch:
    """Watches the data loss of each step for the plateau of a constant answer.

    Args:
      level: the loss of the constant answer.

    Attributes:
      plateau: the first plateau that was found, or None.
    """

    def __init__(self, level: float) -> None:
        self._level = level
        self._means: deque[float] = deque(maxlen=_WINDOWS)
        self._window: list[float] = []
        self._losses: deque[float] = deque(maxlen=_WINDOW)
        self._count = 0
        self.plateau: Plateau | None = None

    def add(self, step: int, loss: float) -> None:
        """Take the data loss of a step in."""
        self._count += 1
        self._losses.append(loss)
        self._window.append(loss)
        if len(self._window) == _WINDOW:
            self._means.append(float(np.mean(self._window)))
            self._window.clear()
            self._judge(step)

    def finish(self, step: int) -> None:
        """Judge what is left at the end; this finds the plateau of a short training."""
        if self.plateau is None and _FEWEST_STEPS <= self._count < _WINDOW * _WINDOWS:
            loss = float(np.mean(list(self._losses)[-self._count // 3 :]))
            if self._is_on_plateau(loss):
                self.plateau = Plateau(step, loss, self._level)

    def _judge(self, step: int) -> None:
        loss = self._means[-1]
        if self.plateau is None:
            stays = len(self._means) == _WINDOWS and all(map(self._is_on_plateau, self._means))
            if stays and loss >= self._means[0] - _DESCENT * self._level:
                self.plateau = Plateau(step, loss, self._level)
        elif self.plateau.left_at_step is None and loss < (1.0 - 2 * _TOLERANCE) * self._level:
            self.plateau = dataclasses.replace(self.plateau, left_at_step=step)

    def _is_on_plateau(self, loss: float) -> bool:
        return abs(loss - self._level) <= _TOLERANCE * self._level
