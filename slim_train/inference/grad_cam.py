"""Grad-CAM: which places of an image speak for a class (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slim_train.errors import UsageError
from slim_train.tf_compat import tf

FloatArray = NDArray[np.float32]
HeatFunction = Callable[[FloatArray, NDArray[np.int64]], FloatArray]

# They keep the order of their elements: behind them lie the logits of a softmax.
_SAME_ELEMENTS = ("Identity", "Reshape", "Squeeze", "Cast")


def heat_function(session: Any, image: Any, scores: Any, name: str) -> HeatFunction:
    """Return a function from a batch and a class of each image to the heat of that class.

    The heat is float32 [N, rows, columns] of the last feature map, 0 or more: the maps weighted by the mean gradient of
    the class's logit. It adds ops to the graph of ``session``.

    Args:
      session: its graph holds trained values, as constants or restored.
      image: the tensor that takes a batch, [N, height, width, channels].
      scores: the tensor of probabilities, N * classes elements.
      name: of the model, for errors.

    Raises:
      UsageError: no tensor before the scores is spatial, or TensorFlow has no gradient for an op behind it.
    """
    found = _last_map(image, scores)
    if found is None:
        raise UsageError(f"--explain: {name} has no feature map with more than one place before its classes.")
    features, is_channels_first = found
    places, channel = ([2, 3], 1) if is_channels_first else ([1, 2], 3)
    with session.graph.as_default():
        classes = tf.placeholder(tf.int64, [None])
        logits = _logits_of(scores)
        logits = tf.cast(tf.reshape(logits, [tf.shape(classes)[0], -1]), tf.float32)
        # An image's logits do not depend on the other images, so one gradient of the sum holds that of each.
        chosen = tf.gather(logits, classes, batch_dims=1)
        try:
            (gradients,) = tf.gradients(chosen, [features])
        except (LookupError, ValueError) as error:
            raise UsageError(f"--explain: {name} has an op without a gradient: {error}") from error
        if gradients is None:
            raise UsageError(f"--explain: the classes of {name} have no gradient at {features.op.name}.")
        weights = tf.reduce_mean(tf.cast(gradients, tf.float32), places, keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weights * tf.cast(features, tf.float32), channel))
        heat = _of_both_sides(heat, tf.shape(classes)[0])
        run: HeatFunction = session.make_callable(heat, [image, classes])
        return run


def _of_both_sides(heat: Any, images: Any) -> Any:
    """Add the heat of mirror images to that of their images, which they follow in a graph of ``--average_flip``."""
    is_mirrored = tf.equal(tf.shape(heat)[0], 2 * images)
    return tf.cond(is_mirrored, lambda: heat[:images] + heat[images:, :, ::-1], lambda: heat)


def last_spatial(image: Any, scores: Any) -> Any:
    """Return the last tensor of rank 4 before the scores with more than one place; None if there is none.

    It is [N, height, width, channels], or [N, channels, height, width] in the part of a graph that is channels first.
    Last is what the longest path from the image leads to: what follows all branches, never one of them. What has the
    size and the channels of the image is the image, scaled for the net.
    """
    found = _last_map(image, scores)
    return found[0] if found else None


def _last_map(image: Any, scores: Any) -> tuple[Any, bool] | None:
    """Return the tensor of :func:`last_spatial`, and whether its channels come before its places."""
    depths = {image.op: 0}
    is_channels_first = {image.op: False}
    best, best_depth = None, 0
    for op in _in_order(scores.op):
        before = [source.op for source in op.inputs if source.op in depths]
        if not before or op in (image.op, scores.op):
            continue
        deepest = max(before, key=depths.__getitem__)
        depths[op] = depths[deepest] + 1
        is_channels_first[op] = _channels_first_of(op, is_channels_first[deepest])
        for tensor in op.outputs[:1]:
            if depths[op] > best_depth and _is_spatial(tensor, image.shape.as_list(), is_channels_first[op]):
                best, best_depth = (tensor, is_channels_first[op]), depths[op]
    return best


def _channels_first_of(op: Any, before: bool) -> bool:
    """Return whether the result of an op is channels first, if what it takes is, or is not, as ``before`` says."""
    if op.type == "Transpose":
        order = tf.get_static_value(op.inputs[1])
        turned = {(0, 3, 1, 2): True, (0, 2, 3, 1): False}
        return turned.get(tuple(order.tolist()), before) if order is not None else before
    if "data_format" in op.node_def.attr:
        return bool(op.get_attr("data_format").startswith(b"NC"))
    return before


def _in_order(last: Any) -> Iterator[Any]:
    """Yield the ops that ``last`` depends on, and itself, each after its inputs."""
    begun, done, pending = set(), set(), [last]
    while pending:
        op = pending[-1]
        waiting = [source.op for source in op.inputs if source.op not in begun]
        if op not in begun:
            begun.add(op)
            pending += waiting
            continue
        pending.pop()
        if op not in done:
            done.add(op)
            yield op


def _is_spatial(tensor: Any, image_shape: list[int | None], is_channels_first: bool) -> bool:
    """A side that is known only when the graph runs counts as more than one place."""
    if not tensor.dtype.is_floating or tensor.shape.rank != 4:
        return False
    shape = tensor.shape.as_list()
    if is_channels_first:
        shape = [shape[0], *shape[2:], shape[1]]
    return shape[1:] != image_shape[1:] and any(side is None or side > 1 for side in shape[1:3])


def _logits_of(scores: Any) -> Any:
    """Return what softmax or sigmoid made the scores of, else their logarithm."""
    tensor = scores
    while tensor.op.type in _SAME_ELEMENTS:
        tensor = tensor.op.inputs[0]
    if tensor.op.type in ("Softmax", "Sigmoid"):
        return tensor.op.inputs[0]
    return tf.math.log(tf.cast(scores, tf.float32) + 1e-12)
