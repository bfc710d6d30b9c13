"""The new last layer: softmax regression by plain gradient descent on features held as one array. No TensorFlow.

A step is two small products of matrices. A session takes longer to be called, and a loop within one longer to turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slim_train.errors import RunError
from slim_train.evaluation.metrics import log_softmax

_INITIAL_STDDEV = 0.001  # of the weights, as in retrain.py; what lies beyond twice that is drawn again
_ROWS_AT_ONCE = 1000
_SCORES_AT_ONCE = 4_000_000


class Score(NamedTuple):
    """Share of the images that are taken for what they are, and their mean cross entropy in nats."""

    accuracy: float
    cross_entropy: float


class HeadWeights(NamedTuple):
    """What is trained: weights float32 [D, classes] and biases [classes]."""

    weights: NDArray[np.float32]
    biases: NDArray[np.float32]


class Head:
    """D features to logits of the classes.

    Wherever images are named by their numbers, ``features`` may stand for the stored ones: those of the same
    images, distorted.

    Args:
      features: of all images, float32 [images, D].
      labels: of all images, int64 [images].
      num_classes: width of the logits.
      learning_rate: of gradient descent.
      random: draws the initial weights.
      weight_decay: factor of half the sum of the squared weights in the loss; biases are free.
    """

    def __init__(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        num_classes: int,
        learning_rate: float,
        random: np.random.Generator,
        weight_decay: float = 0.0,
    ) -> None:
        self._features, self._labels = features, labels
        self._learning_rate = np.float32(learning_rate)
        self._kept = np.float32(1.0 - learning_rate * weight_decay)
        self._weights = _truncated_normal((features.shape[1], num_classes), random)
        self._biases = np.zeros(num_classes, np.float32)

    # What diverges is found when it is scored.
    @np.errstate(over="ignore", invalid="ignore")
    def step(self, numbers: NDArray[np.int64], features: NDArray[np.float32] | None = None) -> None:
        """Go down the gradient of the mean cross entropy of B images: numbers [B], features [B, D]."""
        rows = self._features[numbers] if features is None else features
        gradient = _softmax(rows @ self._weights + self._biases)
        gradient[np.arange(len(numbers)), self._labels[numbers]] -= 1.0
        gradient *= self._learning_rate / np.float32(len(numbers))
        self._weights *= self._kept
        self._weights -= rows.T @ gradient
        self._biases -= gradient.sum(axis=0)

    def score(self, numbers: NDArray[np.int64], features: NDArray[np.float32] | None = None) -> Score:
        """Return how well N images are classified: numbers [N], features [N, D].

        Raises:
          RunError: training has diverged.
        """
        right, losses = [], []
        all_at_once = features is not None
        for part, logits in [(numbers, self.logits(numbers, features))] if all_at_once else self.parts(numbers):
            labels = self._labels[part]
            if not np.isfinite(logits).all():
                raise RunError("Training has diverged: the cross entropy is not a number. Try a lower --learning_rate.")
            right.append(logits.argmax(axis=1) == labels)
            losses.append(-log_softmax(logits)[np.arange(len(part)), labels])
        return Score(float(np.concatenate(right).mean()), float(np.concatenate(losses).mean()))

    @np.errstate(over="ignore", invalid="ignore")
    def logits(self, numbers: NDArray[np.int64], features: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Numbers [N] to logits [N, classes]."""
        if features is not None:
            return features @ self._weights + self._biases
        return np.concatenate([logits for _, logits in self.parts(numbers)])

    def parts(self, numbers: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield numbers [n] and their logits [n, classes], of all N images in turn, so that they fit into memory."""
        rows = max(1, min(_ROWS_AT_ONCE, _SCORES_AT_ONCE // len(self._biases)))
        for part in np.split(numbers, np.arange(rows, len(numbers), rows)):
            with np.errstate(over="ignore", invalid="ignore"):
                logits = self._features[part] @ self._weights + self._biases
            yield part, logits

    def read(self) -> HeadWeights:
        """Return the weights as they are now."""
        return HeadWeights(self._weights.copy(), self._biases.copy())


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _truncated_normal(shape: tuple[int, int], random: np.random.Generator) -> NDArray[np.float32]:
    normal = random.standard_normal(shape, np.float32)
    while (beyond := np.abs(normal) > 2).any():
        normal[beyond] = random.standard_normal(int(beyond.sum()), np.float32)
    return _INITIAL_STDDEV * normal
