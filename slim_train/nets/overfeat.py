"""OverFeat, the fast model (Sermanet et al. 2014, arXiv:1312.6229)."""

from __future__ import annotations

from typing import Any

from slim_train.nets.blocks.heads import convolutional_mlp
from slim_train.nets.record import NetRecord
from slim_train.nets.vgg import vgg_arg_scope
from slim_train.tf_compat import slim, tf


def overfeat(images: Any, num_classes: int, dropout_keep_prob: float = 0.5) -> tuple[Any, dict[str, Any]]:
    """Five convolutions and, as convolutions too, three fully connected layers."""
    end_points = {}
    with tf.variable_scope("overfeat", values=[images]) as scope:

        def keep(layer: str, output: Any) -> Any:
            end_points[f"{scope.name}/{layer}"] = output
            return output

        net = keep("conv1", slim.conv2d(images, 64, [11, 11], stride=4, padding="VALID", scope="conv1"))
        net = keep("pool1", slim.max_pool2d(net, [2, 2], stride=2, scope="pool1"))
        net = keep("conv2", slim.conv2d(net, 256, [5, 5], padding="VALID", scope="conv2"))
        net = keep("pool2", slim.max_pool2d(net, [2, 2], stride=2, scope="pool2"))
        net = keep("conv3", slim.conv2d(net, 512, [3, 3], scope="conv3"))
        net = keep("conv4", slim.conv2d(net, 1024, [3, 3], scope="conv4"))
        net = keep("conv5", slim.conv2d(net, 1024, [3, 3], scope="conv5"))
        net = keep("pool5", slim.max_pool2d(net, [2, 2], stride=2, scope="pool5"))
        with slim.arg_scope(
            [slim.conv2d],
            weights_initializer=tf.truncated_normal_initializer(stddev=0.005),
            biases_initializer=tf.constant_initializer(0.1),
        ):
            logits, head_end_points = convolutional_mlp(net, num_classes, 6, (3072, 4096), dropout_keep_prob)
        return logits, {**end_points, **head_end_points}


RECORDS = (
    NetRecord(
        name="overfeat",
        builder=overfeat,
        arg_scope=vgg_arg_scope,
        default_image_size=231,
        min_image_size=71,
        preprocessing="vgg",
        head_scopes=("overfeat/fc8",),
        feature_end_point="overfeat/fc7",
        feature_width=4096,
        paper="https://arxiv.org/abs/1312.6229",
        num_parameters=145_704_424,
        flops=5_294_022_656,
    ),
)
