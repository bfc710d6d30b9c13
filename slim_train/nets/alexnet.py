"""AlexNet v2: one tower, without local response normalization (Krizhevsky 2014, arXiv:1404.5997)."""

from __future__ import annotations

from typing import Any

from slim_train.nets.blocks.heads import convolutional_mlp
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf


def alexnet_v2(images: Any, num_classes: int, dropout_keep_prob: float = 0.5) -> tuple[Any, dict[str, Any]]:
    """Five convolutions and, as convolutions too, three fully connected layers."""
    end_points = {}
    with tf.variable_scope("alexnet_v2", values=[images]) as scope:

        def keep(layer: str, output: Any) -> Any:
            end_points[f"{scope.name}/{layer}"] = output
            return output

        net = keep("conv1", slim.conv2d(images, 64, [11, 11], stride=4, padding="VALID", scope="conv1"))
        net = keep("pool1", slim.max_pool2d(net, [3, 3], stride=2, scope="pool1"))
        net = keep("conv2", slim.conv2d(net, 192, [5, 5], scope="conv2"))
        net = keep("pool2", slim.max_pool2d(net, [3, 3], stride=2, scope="pool2"))
        net = keep("conv3", slim.conv2d(net, 384, [3, 3], scope="conv3"))
        net = keep("conv4", slim.conv2d(net, 384, [3, 3], scope="conv4"))
        net = keep("conv5", slim.conv2d(net, 256, [3, 3], scope="conv5"))
        net = keep("pool5", slim.max_pool2d(net, [3, 3], stride=2, scope="pool5"))
        with slim.arg_scope([slim.conv2d], weights_initializer=tf.truncated_normal_initializer(stddev=0.005)):
            logits, head_end_points = convolutional_mlp(net, num_classes, 5, (4096, 4096), dropout_keep_prob)
        return logits, {**end_points, **head_end_points}


def alexnet_v2_arg_scope(weight_decay: float, batch_norm_decay: float | None = None) -> dict[Any, Any]:
    """There is no batch norm: ``batch_norm_decay`` changes nothing."""
    with slim.arg_scope(
        [slim.conv2d],
        activation_fn=tf.nn.relu,
        biases_initializer=tf.constant_initializer(0.1),
        weights_regularizer=slim.l2_regularizer(weight_decay),
    ) as scope:
        return scope


RECORDS = (
    NetRecord(
        name="alexnet_v2",
        builder=alexnet_v2,
        arg_scope=alexnet_v2_arg_scope,
        default_image_size=224,
        min_image_size=67,
        preprocessing="vgg",
        head_scopes=("alexnet_v2/fc8",),
        feature_end_point="alexnet_v2/fc7",
        feature_width=4096,
        paper="https://arxiv.org/abs/1404.5997",
        num_parameters=50_303_912,
        flops=1_473_111_552,
    ),
)
