"""Bundles of what crosses to parameter servers."""

from __future__ import annotations

import numpy as np

from slim_train.optim.bundling import bundle_gradients
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
