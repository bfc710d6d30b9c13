"""Synchronous replicas, one of them alone."""

from __future__ import annotations

import pytest

from slim_train.tf_compat import tf
from slim_train.training.hooks.synchronous_replicas import SynchronousSteps


def test_a_chief_alone_makes_its_steps_and_leaves_the_tokens_where_they_are():
    with tf.Graph().as_default():
        global_step = tf.train.get_or_create_global_step()
        weight = tf.get_variable("weight", [], initializer=tf.ones_initializer())
        optimizer = tf.train.SyncReplicasOptimizer(
            tf.train.GradientDescentOptimizer(0.25), replicas_to_aggregate=1, total_num_replicas=1
        )
        train_op = optimizer.minimize(weight * 2.0, global_step=global_step)
        hook = SynchronousSteps(optimizer, is_chief=True, spare_tokens=1)
        with tf.train.MonitoredSession(hooks=[hook], stop_grace_period_secs=1) as session:
            for _ in range(3):
                session.run(train_op)
            # The chief's thread makes the updates; a step waits for the token of the one before.
            assert session.run(global_step) >= 2
            assert session.run(weight) == pytest.approx(1.0 - 0.5 * session.run(global_step), abs=0.5)
