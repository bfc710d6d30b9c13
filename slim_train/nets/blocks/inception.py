"""Inception modules as tables: parallel branches of layers whose names say what they are and how large.

``Conv2d_0b_1x7`` is a convolution with a kernel of 1 x 7, ``MaxPool_1a_3x3`` a pooling over 3 x 3. The names are the
scopes of the variables in released checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slim_train.nets.blocks.heads import fitting_avg_pool2d, fully_connected_conv2d, global_average_pool
from slim_train.tf_compat import slim, tf

Layer = Callable[[Any], Any]
Branch = tuple[Layer, ...]


def conv(scope: str, width: int, stride: int = 1, padding: str = "SAME") -> Layer:
    """Return a convolution with the kernel that ``scope`` ends with."""
    kernel = _window(scope)
    return lambda net: slim.conv2d(net, width, kernel, stride=stride, padding=padding, scope=scope)


def max_pool(scope: str, stride: int = 1, padding: str = "SAME") -> Layer:
    """Max pooling over the window that ``scope`` ends with."""
    window = _window(scope)
    return lambda net: slim.max_pool2d(net, window, stride=stride, padding=padding, scope=scope)


def avg_pool(scope: str) -> Layer:
    """Average pooling over the window that ``scope`` ends with, which keeps the size of the map."""
    window = _window(scope)
    return lambda net: slim.avg_pool2d(net, window, stride=1, padding="SAME", scope=scope)


def fork(*layers: Layer) -> Layer:
    """Return the outputs of ``layers`` on the same input, one after the other along the channels."""
    return lambda net: tf.concat([layer(net) for layer in layers], axis=3)


def branches(net: Any, *table: Branch) -> Any:
    """Return the outputs of parallel branches, one after the other along the channels."""
    outputs = []
    for number, branch in enumerate(table):
        with tf.variable_scope(f"Branch_{number}", values=[net]):
            output = net
            for layer in branch:
                output = layer(output)
        outputs.append(output)
    return tf.concat(outputs, axis=3)


def auxiliary_features(net: Any, pool: str, wide_conv: str, **conv_arguments: Any) -> Any:
    """Return what an auxiliary head classifies, [batch, 1, 1, 768]; ``pool`` and ``wide_conv`` are scopes."""
    net = fitting_avg_pool2d(net, 5, stride=3, scope=pool)
    net = slim.conv2d(net, 128, [1, 1], scope="Conv2d_1b_1x1")
    net = fully_connected_conv2d(net, 768, 5, scope=wide_conv, **conv_arguments)
    return global_average_pool(net, "global_pool")


def _window(scope: str) -> list[int]:
    """``Conv2d_0b_1x7`` -> [1, 7]."""
    return [int(side) for side in scope.rpartition("_")[2].split("x")]
