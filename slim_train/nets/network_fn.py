"""A record's net as a function of images, with everything around its builder that depends on training."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from slim_train.errors import UsageError
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import batch_norm_mode, inference_mode, quick_building, slim

NetworkFn = Callable[..., tuple[Any, dict[str, Any]]]


def network_fn_of(
    record: NetRecord,
    num_classes: int | None,
    weight_decay: float = 0.0,
    is_training: bool = False,
    batch_norm_decay: float | None = None,
    freeze_batch_norm: bool | Callable[[Any, str], bool] = False,
) -> NetworkFn:
    """Return a function that builds the net; see :func:`slim_train.nets.factory.get_network_fn`."""
    frozen: Any = None
    if is_training and callable(freeze_batch_norm):

        def frozen(inputs: Any, scope: str) -> bool:
            return not freeze_batch_norm(inputs, scope)

    elif is_training and freeze_batch_norm:
        frozen = False

    def network_fn(images: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        _check_image_size(record, images)
        with (
            quick_building(),
            slim.arg_scope(record.arg_scope(float(weight_decay), batch_norm_decay)),
            slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
            _last_word(is_training, frozen),
        ):
            return record.builder(images, num_classes or 0, **kwargs)

    network_fn.default_image_size = record.default_image_size  # type: ignore[attr-defined]
    return network_fn


def _last_word(is_training: bool, frozen: Any) -> contextlib.AbstractContextManager[None]:
    """Overrule nets of users that set the mode of their layers themselves, and do not know of freezing or inference."""
    if not is_training:
        return inference_mode()
    return contextlib.nullcontext() if frozen is None else batch_norm_mode(frozen)


def _check_image_size(record: NetRecord, images: Any) -> None:
    height, width = images.shape.as_list()[1:3]
    smallest = min((side for side in (height, width) if side is not None), default=record.min_image_size)
    if smallest < record.min_image_size:
        raise UsageError(
            f"{record.name} cannot take images of {height}x{width} pixels: the smallest that work are "
            f"{record.min_image_size}x{record.min_image_size}."
        )
