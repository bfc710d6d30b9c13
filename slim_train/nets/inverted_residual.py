"""Inverted residual units with linear bottlenecks (Sandler et al. 2018, arXiv:1801.04381), the body of MobileNet v2."""

from __future__ import annotations

import dataclasses
from typing import Any

from slim_train.nets.mobilenet import round_width
from slim_train.tf_compat import slim, tf


@dataclasses.dataclass(frozen=True)
class Unit:
    """A row of a MobileNet's table.

    Attributes:
      width: output channels before the width multiplier.
      expansion: channels of the depthwise layer, as a multiple of the channels that come in.
      stride: of the depthwise layer.
    """

    width: int
    expansion: float
    stride: int = 1


def inverted_residual(net: Any, unit: Unit, width: int, scope: str) -> dict[str, Any]:
    """Expansion, depthwise convolution and linear projection to ``width`` channels, with the shortcut where it fits.

    Returns:
      The tensors ``expansion_output`` (where the unit widens its input), ``depthwise_output`` and ``output``, in order.
    """
    tensors = {}
    with tf.variable_scope(scope, values=[net]):
        shortcut = net
        input_width = net.shape.as_list()[-1]
        inner_width = round_width(unit.expansion * input_width)
        if inner_width > input_width:
            net = tensors["expansion_output"] = slim.conv2d(net, inner_width, [1, 1], scope="expand")
        net = tensors["depthwise_output"] = slim.separable_conv2d(
            net, None, [3, 3], depth_multiplier=1, stride=unit.stride, scope="depthwise"
        )
        net = slim.conv2d(net, width, [1, 1], activation_fn=None, scope="project")
        if unit.stride == 1 and width == input_width:
            net += shortcut
        tensors["output"] = tf.identity(net, name="output")
    return tensors
