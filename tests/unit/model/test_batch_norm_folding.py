"""Batch norm folded into convolutions."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.model.batch_norm_folding import fold_batch_norm
from slim_train.tf_compat import tf

IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


def _net(convolve, *, uses_twice=False, is_training=False):
    """A convolution and its batch norm; the frozen graph and what it says."""
    random = np.random.default_rng(1)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 8, 8, 3], name="images")
        convolved = convolve(images, random)
        scale, offset, mean = (tf.constant(random.normal(size=6).astype(np.float32)) for _ in range(3))
        variance = tf.constant(random.uniform(0.5, 2.0, 6).astype(np.float32))
        normed, *_ = tf.nn.fused_batch_norm(
            convolved, scale, offset, *(() if is_training else (mean, variance)), is_training=is_training
        )
        tf.identity(normed + convolved if uses_twice else normed, name="out")
        return graph.as_graph_def(), session.run("out:0", {"images:0": IMAGES})


def _plain(images, random):
    return tf.nn.conv2d(images, tf.constant(random.normal(size=(3, 3, 3, 6)).astype(np.float32)), 1, "SAME")


def _depthwise(images, random):
    filters = tf.constant(random.normal(size=(3, 3, 3, 2)).astype(np.float32))
    return tf.nn.depthwise_conv2d(images, filters, [1, 1, 1, 1], "SAME")


def _run(graph_def):
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        tf.import_graph_def(graph_def, name="")
        return session.run("out:0", {"images:0": IMAGES}), [node.op for node in graph_def.node]


@pytest.mark.parametrize("convolve", [_plain, _depthwise])
def test_a_folded_net_says_the_same_without_batch_norm(convolve):
    graph_def, expected = _net(convolve)
    found, ops = _run(fold_batch_norm(graph_def, "out"))
    assert not any("BatchNorm" in op for op in ops)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kept", [{"uses_twice": True}, {"is_training": True}])
def test_what_cannot_be_folded_stays(kept):
    graph_def, expected = _net(_plain, **kept)
    found, ops = _run(fold_batch_norm(graph_def, "out"))
    assert any("BatchNorm" in op for op in ops)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
