"""AdamW."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slim_train.optim import optimizers
from slim_train.optim.adamw import AdamW
from slim_train.tf_compat import tf
from slim_train.training_options import OptimizerOptions


def test_adamw_without_decay_is_adam(quadratic: Any) -> None:
    results = []
    for name in ("adam", "adamw"):
        with tf.Graph().as_default():
            optimizer = optimizers.build_optimizer(OptimizerOptions(optimizer=name), 0.1, weight_decay=0.0)
            results.append(quadratic(optimizer).after(5))
    np.testing.assert_array_equal(results[0][0], results[1][0])


def test_adamw_decays_weights_and_leaves_biases(quadratic: Any) -> None:
    with tf.Graph().as_default():
        plain = quadratic(tf.train.AdamOptimizer(0.1)).after(1)
    with tf.Graph().as_default():
        decayed = quadratic(AdamW(0.1, weight_decay=0.5)).after(1)
    # The Adam step is the same: the decay does not enter the gradient. The weights lose 0.1 * 0.5 of their 3 besides.
    np.testing.assert_allclose(decayed[0], plain[0] - 0.1 * 0.5 * 3, rtol=1e-6)
    np.testing.assert_array_equal(decayed[1], plain[1])


def test_adamw_follows_the_formula_over_many_steps(quadratic: Any) -> None:
    rate, decay, beta1, beta2, epsilon = 0.05, 0.3, 0.8, 0.9, 0.01
    weight, first, second = 3.0, 0.0, 0.0
    for step in range(1, 21):
        gradient = 2 * weight
        first, second = beta1 * first + (1 - beta1) * gradient, beta2 * second + (1 - beta2) * gradient**2
        # TensorFlow's Adam adds epsilon before it corrects the second moment ("epsilon hat" of Kingma & Ba).
        adam = np.sqrt(1 - beta2**step) / (1 - beta1**step) * first / (np.sqrt(second) + epsilon)
        weight -= rate * (adam + decay * weight)
    with tf.Graph().as_default():
        weights, _, _ = quadratic(AdamW(rate, decay, beta1, beta2, epsilon)).after(20)
    np.testing.assert_allclose(weights, np.full((2, 3), weight), rtol=1e-4)


def test_adamw_decay_follows_the_learning_rate(quadratic: Any) -> None:
    with tf.Graph().as_default():
        weights, _, _ = quadratic(AdamW(tf.constant(0.0), weight_decay=0.5)).after(3)
    np.testing.assert_array_equal(weights, np.full((2, 3), 3.0))


@pytest.mark.parametrize("use_resource", [True, False])
def test_adamw_decays_rows_without_a_sparse_gradient_too(use_resource: bool) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        table = tf.get_variable("table", [3, 2], initializer=tf.constant_initializer(1.0), use_resource=use_resource)
        row = tf.nn.embedding_lookup(table, [1])
        train_op = AdamW(0.1, weight_decay=0.5).minimize(tf.reduce_sum(row))
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        values = session.run(table)
    assert values[[0, 2]] == pytest.approx(np.full((2, 2), 0.95))
    assert values[1] == pytest.approx(0.95 - 0.1, rel=1e-3)


def test_adamw_decays_after_the_weights_were_read_however_late() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        weights = tf.get_variable("weights", [2, 2], initializer=tf.ones_initializer())
        work = tf.random_normal([500, 500])
        for _ in range(20):
            work = tf.matmul(work, work) * 0.01
        with tf.control_dependencies([work]):
            loss = tf.reduce_sum(weights.read_value() ** 2)
        train_op = AdamW(0.1, weight_decay=9.0).minimize(loss)
        session.run(tf.global_variables_initializer())
        assert session.run([loss, train_op])[0] == pytest.approx(4.0)
