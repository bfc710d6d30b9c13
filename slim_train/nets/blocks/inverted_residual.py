"""Inverted residual units with linear bottlenecks, the body of MobileNet v2 (arXiv:1801.04381) and its successors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from slim_train.nets.blocks.mobilenet import round_width
from slim_train.tf_compat import slim, tf


@dataclasses.dataclass(frozen=True)
class Unit:
    """A row of a MobileNet's table.

    Attributes:
      width: output channels before the width multiplier.
      expansion: channels inside the unit, as a multiple of the channels that come in.
      stride: of the spatial convolution.
      kernel: height and width of the spatial convolution.
      activation: after expansion and depthwise convolution.
      squeeze_excite: weigh the channels inside by their means over the map (arXiv:1709.01507).
      fused: expand by the spatial convolution itself, without a depthwise one.
      shortcut: add the input to the output where their shapes agree.
    """

    width: int
    expansion: float
    stride: int = 1
    kernel: int = 3
    activation: Callable[[Any], Any] = tf.nn.relu6
    squeeze_excite: bool = False
    fused: bool = False
    shortcut: bool = True


def stack_units(
    net: Any, units: tuple[Unit, ...], width_multiplier: float
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return the units one after the other, in the scopes ``expanded_conv``, ``expanded_conv_1`` and so on.

    Returns:
      The last output; the outputs as ``layer_2``, ``layer_3`` and so on, the layer before them being the first; the
      tensors inside, as ``layer_2/expansion_output`` and so on.
    """
    outputs, inner_tensors = {}, {}
    for index, unit in enumerate(units):
        scope = f"expanded_conv_{index}" if index else "expanded_conv"
        tensors = _inverted_residual(net, unit, round_width(unit.width * width_multiplier), scope)
        net = outputs[f"layer_{index + 2}"] = tensors["output"]
        inner_tensors.update({f"layer_{index + 2}/{name}": tensor for name, tensor in tensors.items()})
    return net, outputs, inner_tensors


def _inverted_residual(net: Any, unit: Unit, width: int, scope: str) -> dict[str, Any]:
    """Expansion, depthwise convolution and linear projection to ``width`` channels.

    Returns:
      Those of the tensors ``expansion_output``, ``depthwise_output`` and ``output`` that there are, in order.
    """
    tensors = {}
    with tf.variable_scope(scope, values=[net]):
        unit_input = net
        input_width = net.shape.as_list()[-1]
        inner_width = round_width(unit.expansion * input_width)
        if inner_width > input_width:
            net = tensors["expansion_output"] = slim.conv2d(
                net,
                inner_width,
                unit.kernel if unit.fused else 1,
                stride=unit.stride if unit.fused else 1,
                activation_fn=unit.activation,
                scope="expand",
            )
        if not unit.fused:
            net = tensors["depthwise_output"] = slim.separable_conv2d(
                net,
                None,
                unit.kernel,
                depth_multiplier=1,
                stride=unit.stride,
                activation_fn=unit.activation,
                scope="depthwise",
            )
        if unit.squeeze_excite:
            net = _squeeze_excite(net)
        net = slim.conv2d(net, width, 1, activation_fn=None, scope="project")
        if unit.shortcut and unit.stride == 1 and width == input_width:
            net += unit_input
        tensors["output"] = tf.identity(net, name="output")
    return tensors


def _squeeze_excite(net: Any) -> Any:
    """Return a quarter of the channels inside; the gate is a hard sigmoid (section 5.3 of arXiv:1905.02244)."""
    width = net.shape.as_list()[-1]
    with tf.variable_scope("squeeze_excite", values=[net]):
        gate = tf.reduce_mean(net, [1, 2], keepdims=True)
        gate = slim.conv2d(gate, round_width(width / 4), 1, activation_fn=tf.nn.relu, normalizer_fn=None, scope="Conv")
        gate = slim.conv2d(gate, width, 1, activation_fn=hard_sigmoid, normalizer_fn=None, scope="Conv_1")
        return net * gate


def hard_sigmoid(net: Any) -> Any:
    """Return a piecewise linear sigmoid, relu6(x + 3) / 6."""
    return tf.nn.relu6(net + 3.0) / 6.0


def hard_swish(net: Any) -> Any:
    """x times its hard sigmoid."""
    return net * hard_sigmoid(net)
