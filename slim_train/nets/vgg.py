"""VGG: plain stacks of 3x3 convolutions (Simonyan and Zisserman 2014, arXiv:1409.1556)."""

from __future__ import annotations

import functools
from typing import Any

from slim_train.nets.blocks.heads import convolutional_mlp
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf

_BLOCK_WIDTHS = (64, 128, 256, 512, 512)
# Table 1 of the paper, columns A, D and E: convolutions before each of the five poolings.
_BLOCK_DEPTHS = {"vgg_a": (1, 1, 2, 2, 2), "vgg_16": (2, 2, 3, 3, 3), "vgg_19": (2, 2, 4, 4, 4)}
_RELEASES = "http://download.tensorflow.org/models"


def vgg(name: str, images: Any, num_classes: int, dropout_keep_prob: float = 0.5) -> tuple[Any, dict[str, Any]]:
    """Return the net of one column of the paper's table, its fully connected layers as convolutions."""
    end_points = {}
    with tf.variable_scope(name, values=[images]) as scope:
        net = images
        for block, (depth, width) in enumerate(zip(_BLOCK_DEPTHS[name], _BLOCK_WIDTHS, strict=True), start=1):
            with tf.variable_scope(f"conv{block}"):
                for number in range(1, depth + 1):
                    layer = f"conv{block}_{number}"
                    net = slim.conv2d(net, width, [3, 3], scope=layer)
                    end_points[f"{scope.name}/conv{block}/{layer}"] = net
            net = slim.max_pool2d(net, [2, 2], scope=f"pool{block}")
            end_points[f"{scope.name}/pool{block}"] = net
        logits, head_end_points = convolutional_mlp(net, num_classes, 7, (4096, 4096), dropout_keep_prob)
        return logits, {**end_points, **head_end_points}


def vgg_arg_scope(weight_decay: float, batch_norm_decay: float | None = None) -> dict[Any, Any]:
    """There is no batch norm: ``batch_norm_decay`` changes nothing."""
    with slim.arg_scope(
        [slim.conv2d],
        activation_fn=tf.nn.relu,
        weights_regularizer=slim.l2_regularizer(weight_decay),
        biases_initializer=tf.zeros_initializer(),
    ) as scope:
        return scope


def _record(name: str, num_parameters: int, flops: int, top1: float | None = None) -> NetRecord:
    """Return the weights with a ``top1`` are those of the paper's authors, converted."""
    return NetRecord(
        name=name,
        builder=functools.partial(vgg, name),
        arg_scope=vgg_arg_scope,
        default_image_size=224,
        min_image_size=32,
        preprocessing="vgg",
        head_scopes=(f"{name}/fc8",),
        feature_end_point=f"{name}/fc7",
        feature_width=4096,
        paper="https://arxiv.org/abs/1409.1556",
        num_parameters=num_parameters,
        flops=flops,
        imagenet_top1=top1,
        checkpoint_url=f"{_RELEASES}/{name}_2016_08_28.tar.gz" if top1 else None,
    )


RECORDS = (
    _record("vgg_a", 132_863_336, 15_218_180_096),
    _record("vgg_16", 138_357_544, 30_940_528_640, 71.5),
    _record("vgg_19", 143_667_240, 39_264_124_928, 71.1),
)
