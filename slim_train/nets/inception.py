"""Inception v1, v2 and v3: the trunks of tf_slim.nets under heads that take any image size."""

from __future__ import annotations

from typing import Any

from tf_slim.nets import inception

from slim_train.nets.blocks.heads import pointwise_logits, pooled_classifier
from slim_train.nets.blocks.inception import auxiliary_features
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf


def inception_v1(images: Any, num_classes: int, dropout_keep_prob: float = 0.8) -> tuple[Any, dict[str, Any]]:
    """GoogLeNet with batch norm and without its auxiliary heads."""
    with tf.variable_scope("InceptionV1", values=[images]) as scope:
        net, end_points = inception.inception_v1_base(images, scope=scope)
        output = pooled_classifier(
            net,
            end_points,
            num_classes,
            pool="AvgPool_0a_7x7",
            dropout="Dropout_0b",
            dropout_keep_prob=dropout_keep_prob,
            logits="Conv2d_0c_1x1",
            predictions="Logits/Predictions",
        )
    return output, end_points


def inception_v2(images: Any, num_classes: int, dropout_keep_prob: float = 0.8) -> tuple[Any, dict[str, Any]]:
    """Return the net of the batch norm paper."""
    with tf.variable_scope("InceptionV2", values=[images]) as scope:
        net, end_points = inception.inception_v2_base(images, scope=scope)
        output = pooled_classifier(
            net,
            end_points,
            num_classes,
            pool="AvgPool_1a",
            dropout="Dropout_1b",
            dropout_keep_prob=dropout_keep_prob,
            logits="Conv2d_1c_1x1",
        )
    return output, end_points


def inception_v3(images: Any, num_classes: int, dropout_keep_prob: float = 0.8) -> tuple[Any, dict[str, Any]]:
    """Factorized convolutions, and one auxiliary head whose logits are the end point ``AuxLogits``."""
    with tf.variable_scope("InceptionV3", values=[images]) as scope:
        net, end_points = inception.inception_v3_base(images, scope=scope)
        if num_classes:
            end_points["AuxLogits"] = _inception_v3_auxiliary_logits(end_points["Mixed_6e"], num_classes)
        output = pooled_classifier(
            net,
            end_points,
            num_classes,
            pool="AvgPool_1a",
            dropout="Dropout_1b",
            dropout_keep_prob=dropout_keep_prob,
            dropped="PreLogits",
            logits="Conv2d_1c_1x1",
        )
    return output, end_points


def inception_arg_scope(weight_decay: float, batch_norm_decay: float | None = None) -> dict[Any, Any]:
    """Shared by every Inception net: batch norm without gamma after each convolution, long moving averages."""
    decay = 0.9997 if batch_norm_decay is None else batch_norm_decay
    with (
        slim.arg_scope([slim.conv2d, slim.fully_connected], weights_regularizer=slim.l2_regularizer(weight_decay)),
        slim.arg_scope(
            [slim.conv2d],
            weights_initializer=slim.variance_scaling_initializer(),
            activation_fn=tf.nn.relu,
            normalizer_fn=slim.batch_norm,
            normalizer_params={"decay": decay, "epsilon": 0.001},
        ) as scope,
    ):
        return scope


def _inception_v3_auxiliary_logits(net: Any, num_classes: int) -> Any:
    with tf.variable_scope("AuxLogits"):
        net = auxiliary_features(
            net,
            "AvgPool_1a_5x5",
            "Conv2d_2a_5x5",
            weights_initializer=tf.truncated_normal_initializer(stddev=0.01),
        )
        return pointwise_logits(
            net,
            num_classes,
            scope="Conv2d_2b_1x1",
            weights_initializer=tf.truncated_normal_initializer(stddev=0.001),
        )


RECORDS = (
    NetRecord(
        name="inception_v1",
        builder=inception_v1,
        arg_scope=inception_arg_scope,
        default_image_size=224,
        preprocessing="inception",
        head_scopes=("InceptionV1/Logits",),
        feature_end_point="AvgPool_0a_7x7",
        feature_width=1024,
        paper="https://arxiv.org/abs/1409.4842",
        num_classes=1001,
        num_parameters=6_618_649,
        flops=2_996_754_432,
        imagenet_top1=69.8,
        checkpoint_url="http://download.tensorflow.org/models/inception_v1_2016_08_28.tar.gz",
    ),
    NetRecord(
        name="inception_v2",
        builder=inception_v2,
        arg_scope=inception_arg_scope,
        default_image_size=224,
        preprocessing="inception",
        head_scopes=("InceptionV2/Logits",),
        feature_end_point="AvgPool_1a",
        feature_width=1024,
        paper="https://arxiv.org/abs/1502.03167",
        num_classes=1001,
        num_parameters=11_179_361,
        flops=3_869_716_480,
        imagenet_top1=73.9,
        checkpoint_url="http://download.tensorflow.org/models/inception_v2_2016_08_28.tar.gz",
    ),
    NetRecord(
        name="inception_v3",
        builder=inception_v3,
        arg_scope=inception_arg_scope,
        default_image_size=299,
        min_image_size=75,
        preprocessing="inception",
        head_scopes=("InceptionV3/Logits", "InceptionV3/AuxLogits/Conv2d_2b_1x1"),
        feature_end_point="AvgPool_1a",
        feature_width=2048,
        paper="https://arxiv.org/abs/1512.00567",
        num_classes=1001,
        num_parameters=23_819_401,
        flops=11_426_436_288,
        imagenet_top1=78.0,
        checkpoint_url="http://download.tensorflow.org/models/inception_v3_2016_08_28.tar.gz",
    ),
)
