"""Bundles of what crosses to parameter servers."""

from __future__ import annotations

import numpy as np

from slim_train.optim.bundling import bundle_gradients, narrow_gradients
from slim_train.optim.step import Step
from slim_train.tf_compat import tf


def test_bundled_gradients_have_the_same_values_for_the_same_variables():
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.get_variable(f"v{n}", [n + 1], initializer=tf.zeros_initializer()) for n in range(3)]
        gradients = tuple((tf.fill([n + 1], float(n)), variable) for n, variable in enumerate(variables))
        step = Step(tf.constant(1.0), gradients, ())
        bundled = bundle_gradients(step)
        assert [variable for _, variable in bundled.gradients] == variables
        found = session.run([gradient for gradient, _ in bundled.gradients])
    for n, gradient in enumerate(found):
        np.testing.assert_array_equal(gradient, np.full(n + 1, n, np.float32))


def test_narrow_gradients_are_close_for_the_same_variables():
    sizes = (10, 40_000)  # the second is large
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={"CPU": 2})) as session:
        with tf.device("/device:CPU:1"):
            variables = [tf.get_variable(f"v{size}", [size]) for size in sizes]
        with tf.device("/device:CPU:0"):
            gradients = [tf.fill([size], 1.003) for size in sizes]
        step = narrow_gradients(Step(tf.constant(1.0), tuple(zip(gradients, variables, strict=True))))
        assert [variable for _, variable in step.gradients] == variables
        small, large = session.run([gradient for gradient, _ in step.gradients])
    np.testing.assert_array_equal(small, np.full(10, 1.003, np.float32))
    np.testing.assert_array_equal(large, np.full(40_000, 1.0, np.float32))  # 1.0078 is next
