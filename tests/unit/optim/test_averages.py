from __future__ import annotations

import pytest

from slim_train.optim.averages import MovingAverages
from slim_train.tf_compat import tf


def test_averages_follow_the_variable_as_it_is_after_the_step_although_the_step_cached_it():
    with tf.Graph().as_default():
        with tf.variable_scope("", caching_device="/device:CPU:0"):
            variable = tf.get_variable("weights", initializer=2.0, use_resource=True)
        averages = MovingAverages(decay=0.5)
        step = variable.assign_add(tf.identity(variable) * 2)
        with tf.control_dependencies([step]):
            update = averages.apply([variable])
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(update)
            assert session.run(averages.average(variable)) == pytest.approx(0.5 * 2.0 + 0.5 * 6.0)


def test_what_is_built_afterwards_reads_the_copy_again():
    with tf.Graph().as_default():
        with tf.variable_scope("", caching_device="/device:CPU:0"):
            variable = tf.get_variable("weights", initializer=2.0, use_resource=True)
        copy = variable.value()
        MovingAverages(decay=0.5).apply([variable])
        assert variable.value() is copy
