"""The zoo: net names, their records, and graph builders by name.

``get_network_fn`` is the function of research/slim's ``nets_factory`` with the same name and result.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from slim_train.errors import UsageError, unknown
from slim_train.nets import (
    alexnet,
    cifarnet,
    face_vgg,
    inception,
    inception_resnet_v2,
    inception_v4,
    lenet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    overfeat,
    pnasnet,
    resnet,
    vgg,
)
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import quick_building, slim

_FAMILIES = (
    alexnet,
    cifarnet,
    face_vgg,
    inception,
    inception_resnet_v2,
    inception_v4,
    lenet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    overfeat,
    pnasnet,
    resnet,
    vgg,
)
_RECORDS = types.MappingProxyType({record.name: record for family in _FAMILIES for record in family.RECORDS})


def net_names() -> tuple[str, ...]:
    """Return the names that ``get_record`` and ``get_network_fn`` take, sorted."""
    return tuple(sorted(_RECORDS))


def get_record(name: str) -> NetRecord:
    """Return what is known of the net ``name``.

    Raises:
      UsageError: there is no such net; the message tells the nearest, or lists all if none is near.
    """
    if name not in _RECORDS:
        raise unknown("net", name, _RECORDS, listed_by="slim_models")
    return _RECORDS[name]


def get_network_fn(
    net: str | NetRecord,
    num_classes: int | None,
    weight_decay: float = 0.0,
    is_training: bool = False,
    batch_norm_decay: float | None = None,
    freeze_batch_norm: bool | Callable[[Any, str], bool] = False,
) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Return a function that builds a net on images.

    Args:
      net: one of ``net_names()``, or a record.
      num_classes: width of the logits. With 0 or None there are no logits and no auxiliary head, and the features take
        their place: [batch, width] or [batch, 1, 1, width].
      weight_decay: factor of the L2 regularization losses; 0 makes none.
      is_training: dropout drops, and batch norm normalizes by the batch and has update ops.
      batch_norm_decay: decay of the moving averages of batch norm; None takes that of the net's authors.
      freeze_batch_norm: batch norm uses its moving averages and leaves them alone, whatever ``is_training`` says. A
        function decides that for each layer, from the layer's inputs and its variable scope.

    Returns:
      A function of ``images``, float32 [batch, height, width, channels], and of the keyword arguments of the net's
      builder. It returns the logits, [batch, num_classes], and a dict of end points by name. Its attribute
      ``default_image_size`` is the image size of the released weights. It raises UsageError for images that are too
      small.

    Raises:
      UsageError: there is no such net.
    """
    record = get_record(net) if isinstance(net, str) else net
    batch_norm_is_training: Any = is_training and not freeze_batch_norm
    if is_training and callable(freeze_batch_norm):

        def batch_norm_is_training(inputs: Any, scope: str) -> bool:
            return not freeze_batch_norm(inputs, scope)

    def network_fn(images: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        _check_image_size(record, images)
        with (
            quick_building(),
            slim.arg_scope(record.arg_scope(float(weight_decay), batch_norm_decay)),
            slim.arg_scope([slim.batch_norm], is_training=batch_norm_is_training),
            slim.arg_scope([slim.dropout], is_training=is_training),
        ):
            return record.builder(images, num_classes or 0, **kwargs)

    network_fn.default_image_size = record.default_image_size  # type: ignore[attr-defined]
    return network_fn


def _check_image_size(record: NetRecord, images: Any) -> None:
    height, width = images.shape.as_list()[1:3]
    smallest = min((side for side in (height, width) if side is not None), default=record.min_image_size)
    if smallest < record.min_image_size:
        raise UsageError(
            f"{record.name} cannot take images of {height}x{width} pixels: the smallest that work are "
            f"{record.min_image_size}x{record.min_image_size}."
        )
