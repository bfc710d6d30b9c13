"""Gradient accumulation: several batches against one large one."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.optim.accumulation import Accumulation
from slim_train.optim.step import Step
from slim_train.tf_compat import tf

IMAGES = np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)
TARGETS = np.random.default_rng(1).normal(size=(24, 2)).astype(np.float32)


def trained(num_batches: int, steps: int) -> tuple[np.ndarray, list[float], int]:
    """Weights, losses and the number of batches that update ops saw, after steps of momentum on 12 images each."""
    with tf.Graph().as_default(), tf.Session() as session:
        images, targets = tf.placeholder(tf.float32, [None, 5]), tf.placeholder(tf.float32, [None, 2])
        weights = tf.get_variable("weights", [5, 2], initializer=tf.ones_initializer())
        count = tf.get_variable("count", [], tf.int32, tf.zeros_initializer(), trainable=False)
        loss = tf.reduce_mean(tf.square(tf.matmul(images, weights) - targets))
        optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
        gradients, update_ops = optimizer.compute_gradients(loss), [count.assign_add(1)]
        accumulated = Accumulation(num_batches)
        step = accumulated(Step(loss, tuple(gradients), tuple(update_ops)))
        with tf.control_dependencies([optimizer.apply_gradients(step.gradients), *update_ops]):
            (reset,) = (make_op() for make_op in step.closing_ops)
        with tf.control_dependencies([reset]):
            train_op = tf.identity(step.loss)
        assert [variable.op.name for variable in tf.local_variables()] == ["accumulated/loss", "accumulated/weights"]
        assert not {variable.op.name for variable in tf.global_variables()} & {"accumulated/weights"}
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        losses = []
        for step in range(steps):
            start = 12 * (step % 2)
            pieces = np.split(np.arange(start, start + 12), num_batches)
            feeds = [{images: IMAGES[piece], targets: TARGETS[piece]} for piece in pieces]
            for feed in feeds[:-1]:
                session.run(accumulated.add, feed)
            losses.append(float(session.run(train_op, feeds[-1])))
        return (*session.run([weights]), losses, int(session.run(count)))


@pytest.mark.parametrize("num_batches", [2, 3, 12])
def test_several_batches_train_as_one_of_their_size(num_batches: int) -> None:
    weights, losses, _ = trained(num_batches, steps=5)
    expected_weights, expected_losses, _ = trained(1, steps=5)
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-5)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)


def test_update_ops_run_once_for_each_batch() -> None:
    assert trained(3, steps=5)[2] == 15
