"""The new last layer: softmax regression by plain gradient descent on features that a session holds as one array."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slim_train.errors import RunError
from slim_train.tf_compat import tf

_INITIAL_STDDEV = 0.001  # of the weights, as in retrain.py; what lies beyond twice that is drawn again
_ROWS_AT_ONCE = 1000


class Score(NamedTuple):
    """Share of the pictures that are taken for what they are, and their mean cross entropy in nats."""

    accuracy: float
    cross_entropy: float


class HeadWeights(NamedTuple):
    """What is trained: weights float32 [D, classes] and biases [classes]."""

    weights: NDArray[np.float32]
    biases: NDArray[np.float32]


class Head:
    """D features to logits of the classes, in a session of its own.

    Wherever pictures are named by their numbers, ``features`` may stand for the stored ones: those of the same
    pictures, distorted.

    Args:
      features: of all pictures, float32 [pictures, D].
      labels: of all pictures, int64 [pictures].
      num_classes: width of the logits.
      learning_rate: of gradient descent.
      random: draws the initial weights.
    """

    def __init__(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        num_classes: int,
        learning_rate: float,
        random: np.random.Generator,
    ) -> None:
        self._all_labels = labels
        num_features = features.shape[1]
        with tf.Graph().as_default() as graph:
            stored = [tf.placeholder(array.dtype, array.shape) for array in (features, labels)]
            stored_features, stored_labels = (tf.Variable(array, trainable=False) for array in stored)
            self._weights = tf.Variable(_truncated_normal((num_features, num_classes), random))
            self._biases = tf.Variable(np.zeros(num_classes, np.float32))
            self._features = tf.placeholder_with_default(stored_features, [None, num_features])
            self._labels = tf.placeholder_with_default(stored_labels, [None])
            self._rows = tf.placeholder(tf.int64, [None, None])
            self._train_op = self._build_training(learning_rate)
            self._logits, self._score = self._build_evaluation()
            # A step is too small to be shared: a second thread makes it a third slower.
            config = tf.ConfigProto(
                intra_op_parallelism_threads=1, inter_op_parallelism_threads=1, use_per_session_threads=True
            )
            self._session = tf.Session(graph=graph, config=config)
            self._session.run(tf.global_variables_initializer(), dict(zip(stored, (features, labels), strict=True)))

    def train(self, numbers: NDArray[np.int64], features: NDArray[np.float32] | None = None) -> None:
        """Take S steps, each on B pictures: numbers [S, B], features [S * B, D]."""
        self._session.run(self._train_op, self._feed(numbers, features))

    def score(self, numbers: NDArray[np.int64], features: NDArray[np.float32] | None = None) -> Score:
        """How well N pictures are classified: numbers [N], features [N, D].

        Raises:
          RunError: training has diverged.
        """
        score = Score(*map(float, self._session.run(self._score, self._feed(numbers[np.newaxis], features))))
        if not math.isfinite(score.cross_entropy):
            raise RunError("Training has diverged: the cross entropy is no number. Try a lower --learning_rate.")
        return score

    def logits(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Numbers [N] to logits [N, classes]."""
        cuts = np.arange(_ROWS_AT_ONCE, len(numbers), _ROWS_AT_ONCE)
        parts = [self._feed(part[np.newaxis], None) for part in np.split(numbers, cuts)]
        return np.concatenate([self._session.run(self._logits, feed) for feed in parts])

    def read(self) -> HeadWeights:
        """The weights as they are now."""
        return HeadWeights(*self._session.run((self._weights, self._biases)))

    def close(self) -> None:
        """Release the session."""
        self._session.close()

    def _build_training(self, learning_rate: float) -> Any:
        """All steps in one run of the session: between them is nothing but the loop."""

        def step(index: Any, weights: Any, biases: Any) -> tuple[Any, Any, Any]:
            rows = self._rows[index]
            features = tf.gather(self._features, rows)
            true = tf.one_hot(tf.gather(self._labels, rows), biases.shape[0])
            # The gradient of the mean cross entropy by the logits.
            gradient = (tf.nn.softmax(features @ weights + biases) - true) / tf.cast(tf.shape(rows)[0], tf.float32)
            return (
                index + 1,
                weights - learning_rate * tf.matmul(features, gradient, transpose_a=True),
                biases - learning_rate * tf.reduce_sum(gradient, axis=0),
            )

        _, weights, biases = tf.while_loop(
            lambda index, *_: index < tf.shape(self._rows)[0],
            step,
            (0, self._weights.read_value(), self._biases.read_value()),
            parallel_iterations=1,
            back_prop=False,
        )
        return tf.group(self._weights.assign(weights), self._biases.assign(biases))

    def _build_evaluation(self) -> tuple[Any, Score]:
        features, labels = (tf.gather(array, self._rows[0]) for array in (self._features, self._labels))
        logits = features @ self._weights + self._biases
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        is_right = tf.equal(tf.argmax(logits, axis=1), labels)
        return logits, Score(tf.reduce_mean(tf.cast(is_right, tf.float32)), tf.reduce_mean(losses))

    def _feed(self, numbers: NDArray[np.int64], features: NDArray[np.float32] | None) -> dict[Any, Any]:
        if features is None:
            return {self._rows: numbers}
        return {
            self._features: features,
            self._labels: self._all_labels[numbers.ravel()],
            self._rows: np.arange(numbers.size).reshape(numbers.shape),
        }


def _truncated_normal(shape: tuple[int, int], random: np.random.Generator) -> NDArray[np.float32]:
    normal = random.standard_normal(shape, np.float32)
    while (beyond := np.abs(normal) > 2).any():
        normal[beyond] = random.standard_normal(int(beyond.sum()), np.float32)
    return _INITIAL_STDDEV * normal
