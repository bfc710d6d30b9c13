"""Fewer messages between a task and its parameter servers.

Every tensor that crosses is a message, whose fixed cost on both sides outweighs the bytes of a small one, and a net has
hundreds of small ones: the scales, shifts and statistics of batch norm. Those that go the same way at the same time
cross as one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from deployment import tf_private

# Above, a message of its own costs less than copying into and out of a bundle.
SMALL_BYTES = 128 * 2**10


def bundle_reads(variables: Iterable[Any]) -> None:
    """Let the small ones of ``variables`` be read with one message from each server.

    It concerns reads through a caching device. Call it when the gradients are there: they are looked for on the way
    from the loss to each variable's own read. Does nothing if TensorFlow cannot rewire a graph.
    """
    if not tf_private.can_rewire():
        return
    by_server: dict[tuple[str, Any], list[Any]] = {}
    large: dict[tuple[str, Any], list[Any]] = {}
    for copy in reads_across(variables):
        of_size = by_server if _is_small(copy.inputs[0]) else large
        of_size.setdefault((copy.inputs[0].device, copy.device), []).append(copy)
    for (server, here), bundled in by_server.items():
        values = [copy.inputs[0] for copy in bundled]
        bundle, crossed = _cross(values, server, here)
        for copy, value in zip(bundled, crossed, strict=True):
            tf_private.replace_input(copy, 0, value)
        # The first layers are in the bundle: large variables, on the same connection, would hold it up.
        for copy in large.get((server, here), ()):
            read = copy.inputs[0].op
            tf_private.replace_control_inputs(read, [*read.control_inputs, bundle])


def reads_across(variables: Iterable[Any]) -> list[Any]:
    """Return the operations that copy ``variables`` from the server to their caching device."""
    copies = [copy for variable in variables if (copy := variable.value().op).type == "Identity"]
    return [copy for copy in copies if copy.device != copy.inputs[0].device]


def bundle_gradients(gradients: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return the (gradient, variable) pairs with the small gradients sent to each server in one message."""
    sent = list(gradients)

    def replace(index: int) -> Callable[[Any], None]:
        return lambda value: sent.__setitem__(index, (value, gradients[index][1]))

    _bundle([(gradient, variable.device, replace(i)) for i, (gradient, variable) in enumerate(gradients)])
    return sent


def bundle_updates(update_ops: Iterable[Any]) -> None:
    """Let what the update ops on servers need of this task, statistics of batches, cross in one message to each.

    Does nothing if TensorFlow cannot rewire a graph.
    """
    if not tf_private.can_rewire():
        return
    needed: list[tuple[Any, str, Callable[[Any], None]]] = []
    for update_op in update_ops:
        op, server = update_op.op if isinstance(update_op, tf.Tensor) else update_op, update_op.device
        reached = [op]
        for consumer in reached:
            _forget_copies(consumer)
            for index, tensor in enumerate(consumer.inputs):
                if tensor.device == server:
                    if tensor.op not in reached:
                        reached.append(tensor.op)
                elif tensor.op.type == "Const":
                    _forget_copies(tensor.op)
                    tf_private.move(tensor.op, server)
                else:
                    needed.append((tensor, server, functools.partial(tf_private.replace_input, consumer, index)))
    _bundle(needed)


def _forget_copies(op: Any) -> None:
    """Let an assignment not wait until the variable's old value has crossed, which nobody may need."""
    kept = [other for other in op.control_inputs if other.type != "Identity" or other.device == op.device]
    if len(kept) < len(op.control_inputs):
        tf_private.replace_control_inputs(op, kept)


def _bundle(needed: Iterable[tuple[Any, str, Callable[[Any], None]]]) -> None:
    """Send small tensors (the first of each triple) to devices (the second); the third takes what arrives there."""
    by_way: dict[tuple[str, str], list[tuple[Any, Callable[[Any], None]]]] = {}
    for tensor, server, take in needed:
        if isinstance(tensor, tf.Tensor) and _is_small(tensor) and tensor.device != server:
            by_way.setdefault((tensor.device, server), []).append((tensor, take))
    for (here, server), bundled in by_way.items():
        _, crossed = _cross([tensor for tensor, _ in bundled], here, server)
        for (_, take), value in zip(bundled, crossed, strict=True):
            take(value)


def _cross(tensors: Sequence[Any], origin: str, destination: str) -> tuple[Any, list[Any]]:
    """Send tensors together: return the operation whose result crosses, and the tensors at ``destination``."""
    with tf.name_scope("bundle"):
        with tf.device(origin):
            flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)
        with tf.device(destination):
            parts = tf.split(flat, [tensor.shape.num_elements() for tensor in tensors])
            return flat.op, [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def _is_small(tensor: Any) -> bool:
    size = float_bytes(tensor)
    return size is not None and size <= SMALL_BYTES


def float_bytes(tensor: Any) -> int | None:
    """Return the bytes of a tensor of 32-bit numbers; None for other types, and if the shape is not known."""
    size = tensor.shape.num_elements()
    return None if tensor.dtype != tf.float32 or size is None else int(size * tensor.dtype.size)
