"""Gradient clipping."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.optim.clipping import clip_by_global_norm
from slim_train.tf_compat import tf


def test_gradients_are_scaled_to_the_global_norm_together() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        table = tf.get_variable("table", [3, 1])
        dense, sparse = (
            tf.constant([3.0]),
            tf.IndexedSlices(tf.constant([[4.0]]), tf.constant([1]), tf.constant([3, 1])),
        )
        clipped = clip_by_global_norm([(dense, table), (sparse, table)], 1.0)
        unclipped = clip_by_global_norm([(dense, table)], 10.0)
        assert session.run(clipped[0][0]) == pytest.approx(np.array([0.6]))
        assert session.run(clipped[1][0].values) == pytest.approx(np.array([[0.8]]))
        assert session.run(unclipped[0][0]) == pytest.approx(np.array([3.0]))
        assert clipped[0][1] is table
