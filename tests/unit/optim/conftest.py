"""Something to minimize."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slim_train.tf_compat import tf


class _Quadratic:
    """A graph that minimizes ``sum(weights**2) + sum(biases**2)`` from 3."""

    def __init__(self, optimizer: Any) -> None:
        self.weights = tf.get_variable("weights", [2, 3], initializer=tf.constant_initializer(3.0))
        self.biases = tf.get_variable("biases", [3], initializer=tf.constant_initializer(3.0))
        self.loss = tf.reduce_sum(self.weights**2) + tf.reduce_sum(self.biases**2)
        self.train_op = optimizer.minimize(self.loss)

    def after(self, steps: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Weights, biases and loss."""
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for _ in range(steps):
                session.run(self.train_op)
            return session.run((self.weights, self.biases, self.loss))


@pytest.fixture
def quadratic() -> type:
    """``quadratic(optimizer)``: see above; made in the default graph."""
    return _Quadratic
