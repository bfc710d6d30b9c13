"""The files of an export, on graphs of a few nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slim_train.exporting.formats import with_16_bit_constants
from slim_train.tf_compat import tf

WEIGHTS = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)


def _graph(weights: Any, biases: Any) -> Any:
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(tf.float32, [None, 3], name="pixels")
        product = tf.matmul(pixels, tf.constant(weights, name="weights"))
        tf.add(product, tf.constant(biases, name="biases"), name="scores")
    return graph.as_graph_def()


def _dtypes(graph_def: Any) -> dict[str, Any]:
    """Of each constant, by name."""
    return {node.name: tf.as_dtype(node.attr["dtype"].type) for node in graph_def.node if node.op == "Const"}


def _scores(graph_def: Any) -> Any:
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        tf.graph_util.import_graph_def(graph_def, name="")
        return session.run("scores:0", {"pixels:0": np.eye(3, dtype=np.float32)})


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_weights_are_stored_in_16_bits_and_constants_of_one_dimension_as_they_are(dtype: Any) -> None:
    half = with_16_bit_constants(_graph(WEIGHTS, np.float32([1e-9, 1.0])), dtype)
    assert _dtypes(half) == {f"weights/{dtype.name}": dtype, "biases": tf.float32}
    rounded = WEIGHTS.astype(dtype.as_numpy_dtype).astype(np.float32)
    assert not np.array_equal(rounded, WEIGHTS)
    np.testing.assert_allclose(_scores(half), rounded + np.float32([1e-9, 1.0]), rtol=1e-6)


def test_a_weight_that_is_too_large_for_float16_keeps_its_constant_in_32_bits() -> None:
    large = np.float32([[1e6, 1.0]] * 3)
    biases = np.zeros(2, np.float32)
    assert _dtypes(with_16_bit_constants(_graph(large, biases), tf.float16))["weights"] == tf.float32
    assert "weights/bfloat16" in _dtypes(with_16_bit_constants(_graph(large, biases), tf.bfloat16))
