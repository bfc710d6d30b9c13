"""ResNet v1 and v2 in four depths: the trunks of tf_slim.nets under the classification head of the checkpoints."""

from __future__ import annotations

import functools
from typing import Any

from tf_slim.nets import resnet_utils, resnet_v1, resnet_v2

from slim_train.nets.blocks.modes import is_training
from slim_train.nets.record import Builder, NetRecord
from slim_train.tf_compat import slim, tf

_RELEASES = "http://download.tensorflow.org/models"


def resnet(trunk: Builder, name: str, images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
    """``trunk``, a builder of tf_slim.nets, with global pooling and a linear classifier."""
    with tf.variable_scope(name, values=[images]) as scope:
        # tf_slim sets the mode of batch norm from this argument, over whatever the arg scope of the caller says.
        net, end_points = trunk(images, num_classes=None, is_training=is_training(slim.batch_norm), scope=scope)
        end_points["global_pool"] = net
        if not num_classes:
            return net, end_points
        net = slim.conv2d(net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope="logits")
        logits = tf.squeeze(net, [1, 2], name="SpatialSqueeze")
        end_points[f"{scope.name}/logits"] = net
        end_points[f"{scope.name}/spatial_squeeze"] = logits
        end_points["predictions"] = slim.softmax(logits, scope="predictions")
    return logits, end_points


def resnet_arg_scope(weight_decay: float, batch_norm_decay: float | None = None) -> dict[Any, Any]:
    decay = 0.997 if batch_norm_decay is None else batch_norm_decay
    return resnet_utils.resnet_arg_scope(weight_decay=weight_decay, batch_norm_decay=decay)


def _record(trunk: Builder, **facts: Any) -> NetRecord:
    """``facts`` are further fields of the record."""
    name = trunk.__name__
    return NetRecord(
        name=name,
        builder=functools.partial(resnet, trunk, name),
        arg_scope=resnet_arg_scope,
        default_image_size=224,
        preprocessing="vgg",
        head_scopes=(f"{name}/logits",),
        feature_end_point="global_pool",
        feature_width=2048,
        **facts,
    )


def _v1(trunk: Builder, num_parameters: int, flops: int, top1: float | None = None) -> NetRecord:
    """Return the weights with a ``top1`` are those of the paper's authors, converted; 1000 classes."""
    return _record(
        trunk,
        paper="https://arxiv.org/abs/1512.03385",
        num_parameters=num_parameters,
        flops=flops,
        imagenet_top1=top1,
        checkpoint_url=f"{_RELEASES}/{trunk.__name__}_2016_08_28.tar.gz" if top1 else None,
    )


def _v2(trunk: Builder, num_parameters: int, flops: int, top1: float | None = None) -> NetRecord:
    """Return the weights with a ``top1`` were trained with the preprocessing and at the image size of Inception v3."""
    return _record(
        trunk,
        paper="https://arxiv.org/abs/1603.05027",
        num_classes=1001,
        num_parameters=num_parameters,
        flops=flops,
        imagenet_top1=top1,
        checkpoint_url=f"{_RELEASES}/{trunk.__name__}_2017_04_14.tar.gz" if top1 else None,
        checkpoint_image_size=299 if top1 else None,
        checkpoint_preprocessing="inception" if top1 else None,
    )


RECORDS = (
    _v1(resnet_v1.resnet_v1_50, 25_557_032, 6_964_510_720, 75.2),
    _v1(resnet_v1.resnet_v1_101, 44_549_160, 14_388_953_088, 76.4),
    _v1(resnet_v1.resnet_v1_152, 60_192_808, 21_813_395_456, 76.8),
    _v1(resnet_v1.resnet_v1_200, 64_673_832, 28_801_105_920),
    _v2(resnet_v2.resnet_v2_50, 25_570_409, 6_964_514_816, 75.6),
    _v2(resnet_v2.resnet_v2_101, 44_579_945, 14_388_957_184, 77.0),
    _v2(resnet_v2.resnet_v2_152, 60_238_953, 21_813_399_552, 77.8),
    _v2(resnet_v2.resnet_v2_200, 64_728_169, 28_801_110_016),
)
