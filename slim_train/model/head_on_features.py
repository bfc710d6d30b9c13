"""A net whose head takes features that are given: its trunk is there for the variables, and no step runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deployment import tf_private
from slim_train.errors import UsageError
from slim_train.model.spec import ModelSpec
from slim_train.tf_compat import tf


def build_head_on_features(
    network_fn: Callable[[Any], tuple[Any, dict[str, Any]]], model: ModelSpec, features: Any
) -> tuple[Any, dict[str, Any]]:
    """Build a whole net, with all its variables and regularization losses, and give its head other features.

    Args:
      network_fn: builds the net on images, see :func:`slim_train.nets.factory.get_network_fn`.
      model: the net.
      features: float32 [B, width of the net's features], in the place of what its trunk would compute.

    Returns:
      The logits [B, classes], and those end points that can be computed without images.

    Raises:
      UsageError: the net has an auxiliary head, which takes other features.
    """
    record = model.net
    shape = [features.shape[0], model.image_size, model.image_size, model.channels]
    images = tf.placeholder(tf.float32, shape, name="images_that_no_step_needs")
    logits, end_points = network_fn(images)
    if "AuxLogits" in end_points:
        raise UsageError(
            f"--cache_features: {model.name} also trains an auxiliary head, on features from the middle of its trunk, "
            "and only those at its end are cached. Leave --cache_features out, or take a net with a single head."
        )
    computed = end_points[record.feature_end_point]
    given = tf.reshape(features, computed.shape, name="given_features")
    for consumer in computed.consumers():
        for index, tensor in enumerate(consumer.inputs):
            if tensor.name == computed.name:
                tf_private.replace_input(consumer, index, given)
    needs_images = _depending_on(images)
    assert logits.op not in needs_images, f"{model.name}: {record.feature_end_point} is not all that is classified"
    without_images = {name: tensor for name, tensor in end_points.items() if tensor.op not in needs_images}
    return logits, without_images | {record.feature_end_point: given}


def _depending_on(tensor: Any) -> set[Any]:
    """Return the operations that cannot run without ``tensor``, its own included."""
    found: set[Any] = set()
    pending = [tensor.op]
    while pending:
        op = pending.pop()
        if op not in found:
            found.add(op)
            pending.extend(consumer for output in op.outputs for consumer in output.consumers())
    return found
