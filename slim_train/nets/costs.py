"""What a net costs: its parameters, and the arithmetic of one image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from slim_train.nets.network_fn import network_fn_of
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import tf

# How many products are added up for each number that an operation gives.
_TERMS: dict[str, Callable[[Any], int]] = {
    "Conv2D": lambda op: op.inputs[1].shape[:3].num_elements(),
    "DepthwiseConv2dNative": lambda op: op.inputs[1].shape[:2].num_elements(),
    "MatMul": lambda op: op.inputs[0].shape.as_list()[0 if op.get_attr("transpose_a") else 1],
}


@dataclasses.dataclass(frozen=True)
class Costs:
    """Of inference with one image.

    Attributes:
      num_parameters: trained numbers that the logits depend on. Moving statistics and auxiliary heads do not count.
      flops: floating-point operations of convolutions and matrix products. A multiplication and the addition that
        follows are two operations: papers that count multiply-adds state half of this. What is not counted (batch norm,
        activations, pooling) is about a hundredth of it.
    """

    num_parameters: int
    flops: int


def known_costs(record: NetRecord, image_size: int | None = None) -> Costs:
    """As ``count_costs``, from the record where it has them, which takes no time."""
    if image_size in (None, record.default_image_size) and record.num_parameters and record.flops:
        return Costs(record.num_parameters, record.flops)
    return count_costs(record, image_size)


def count_costs(record: NetRecord, image_size: int | None = None) -> Costs:
    """Count in the graph of the net with ``record.num_classes`` classes; takes as long as building that.

    Args:
      image_size: height and width in pixels; None: the net's default.

    Raises:
      UsageError: the net cannot take images so small.
    """
    size = image_size or record.default_image_size
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [1, size, size, record.channels])
        logits, _ = network_fn_of(record, record.num_classes)(images)
        needed = _ancestors(logits.op)
        parameters = sum(v.shape.num_elements() for v in tf.trainable_variables() if v.op in needed)
        return Costs(parameters, flops_of(needed))


def flops_of(operations: Iterable[Any]) -> int:
    """Floating-point operations of the convolutions and matrix products among ``operations``, shapes fully known."""
    counted = [op for op in operations if op.type in _TERMS]
    return sum(2 * op.outputs[0].shape.num_elements() * _TERMS[op.type](op) for op in counted)


def _ancestors(op: Any) -> set[Any]:
    """``op`` and all whose outputs it depends on."""
    found, waiting = {op}, [op]
    while waiting:
        inputs = {tensor.op for tensor in waiting.pop().inputs} - found
        found |= inputs
        waiting += inputs
    return found
