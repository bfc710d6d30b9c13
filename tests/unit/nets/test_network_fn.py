"""Nets built from their records; by name they are built in the tests of the factory and of the zoo."""

from __future__ import annotations

from typing import Any

import pytest

from slim_train.errors import UsageError
from slim_train.nets.network_fn import network_fn_of
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf


def _net(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
    """A net that insists on training its batch norm."""
    net = slim.batch_norm(slim.conv2d(images, 4, [3, 3], scope="conv"), is_training=True, scope="norm")
    return slim.fully_connected(tf.reduce_mean(net, [1, 2]), num_classes, scope="logits"), {}


RECORD = NetRecord("mine", _net, min_image_size=8)


def _update_ops(**options: Any) -> list[Any]:
    with tf.Graph().as_default():
        network_fn_of(RECORD, 3, is_training=True, **options)(tf.zeros([2, 8, 8, 3]))
        return tf.get_collection(tf.GraphKeys.UPDATE_OPS)


def test_freezing_batch_norm_has_the_last_word() -> None:
    assert _update_ops()
    assert not _update_ops(freeze_batch_norm=True)


def test_batch_norm_is_frozen_by_layer() -> None:
    seen: list[str] = []

    def is_frozen(inputs: Any, scope: str) -> bool:
        seen.append(scope)
        return True

    assert not _update_ops(freeze_batch_norm=is_frozen)
    assert seen == ["norm"]


def _always_training(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
    """A net that does not know of inference, as those whose arg scope says is_training=True."""
    net = slim.conv2d(
        images, 4, [3, 3], normalizer_fn=slim.batch_norm, normalizer_params={"is_training": True}, scope="conv"
    )
    net = slim.dropout(tf.reduce_mean(net, [1, 2]), 0.5, is_training=True)
    return slim.fully_connected(net, num_classes, scope="logits"), {}


def test_inference_is_inference_whatever_the_net_says() -> None:
    with tf.Graph().as_default() as graph:
        network_fn_of(NetRecord("mine", _always_training), 3)(tf.zeros([2, 8, 8, 3]))
        assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        assert not [op.name for op in graph.get_operations() if "dropout" in op.name.lower() and "random" in op.name]


def test_a_record_without_arg_scope_has_weight_decay() -> None:
    with tf.Graph().as_default():
        network_fn_of(RECORD, 3, weight_decay=0.1)(tf.zeros([2, 8, 8, 3]))
        assert len(tf.losses.get_regularization_losses()) == 2


def test_images_below_the_smallest_are_refused() -> None:
    with tf.Graph().as_default(), pytest.raises(UsageError, match="mine cannot take images of 7x7 pixels"):
        network_fn_of(RECORD, 3)(tf.zeros([2, 7, 7, 3]))
