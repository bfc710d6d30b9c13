"""Gradients of several batches for each step."""

from __future__ import annotations

from slim_train.tf_compat import tf
from slim_train.training.hooks.accumulation import AccumulateGradients


def test_the_batches_of_a_step_are_added_up_before_it():
    with tf.Graph().as_default():
        added = tf.get_variable("added", [], tf.int32, tf.zeros_initializer())
        add, value = added.assign_add(1).op, added.read_value()
        with tf.train.MonitoredSession(hooks=[AccumulateGradients(add, 3)]) as session:
            seen = [int(session.run(value)) for _ in range(2)]
    assert seen == [3, 6]
