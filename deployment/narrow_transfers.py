"""Fewer bytes between a task and its parameter servers: large tensors cross in 16 bits.

Only the transfer is narrow. Variables on the servers, their optimizer slots and what the task computes stay in 32 bits:
a gradient that is too small to change a 16-bit weight still adds up. Small tensors, such as scales and statistics of
batch norm, are few bytes and stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from deployment import tf_private
from deployment.transfers import SMALL_BYTES, float_bytes, reads_across


def narrow_reads(variables: Iterable[Any], dtype: Any = tf.bfloat16) -> None:
    """Let the large ones of ``variables`` be read in ``dtype``, through their caching device.

    Call it when the gradients are there: they are looked for on the way from the loss to each variable's own read.
    Does nothing if TensorFlow cannot rewire a graph.
    """
    if not tf_private.can_rewire():
        return
    for copy in reads_across(variables):
        value = copy.inputs[0]
        if _is_large(value):
            tf_private.replace_input(copy, 0, _crossed(value, value.device, copy.device, dtype))


def narrow_gradients(gradients: Sequence[tuple[Any, Any]], dtype: Any = tf.bfloat16) -> list[tuple[Any, Any]]:
    """Return the (gradient, variable) pairs with the large gradients sent to the servers in ``dtype``."""
    return [
        (_crossed(gradient, gradient.device, variable.device, dtype), variable)
        if isinstance(gradient, tf.Tensor) and _is_large(gradient) and gradient.device != variable.device
        else (gradient, variable)
        for gradient, variable in gradients
    ]


def _crossed(tensor: Any, origin: str, destination: str, dtype: Any) -> Any:
    with tf.name_scope("narrow"):
        with tf.device(origin):
            narrow = tf.cast(tensor, dtype)
        with tf.device(destination):
            return tf.cast(narrow, tensor.dtype)


def _is_large(tensor: Any) -> bool:
    size = float_bytes(tensor)
    return size is not None and size > SMALL_BYTES
