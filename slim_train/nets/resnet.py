"""ResNet v1 and v2 in four depths: the trunks of tf_slim.nets under the classification head of the checkpoints."""

from __future__ import annotations

import functools
from typing import Any

from tf_slim.nets import resnet_utils, resnet_v1, resnet_v2

from slim_train.nets.modes import is_training
from slim_train.nets.record import Builder, NetRecord
from slim_train.tf_compat import slim, tf

_PAPERS = {"v1": "https://arxiv.org/abs/1512.03385", "v2": "https://arxiv.org/abs/1603.05027"}


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


def _record(version: str, trunk: Builder) -> NetRecord:
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
        paper=_PAPERS[version],
    )


RECORDS = (
    _record("v1", resnet_v1.resnet_v1_50),
    _record("v1", resnet_v1.resnet_v1_101),
    _record("v1", resnet_v1.resnet_v1_152),
    _record("v1", resnet_v1.resnet_v1_200),
    _record("v2", resnet_v2.resnet_v2_50),
    _record("v2", resnet_v2.resnet_v2_101),
    _record("v2", resnet_v2.resnet_v2_152),
    _record("v2", resnet_v2.resnet_v2_200),
)
