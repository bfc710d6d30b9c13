"""MobileNet v1: depthwise-separable convolutions (Howard et al. 2017, arXiv:1704.04861)."""

from __future__ import annotations

import functools
from typing import Any

from slim_train.nets.blocks.heads import pooled_classifier
from slim_train.nets.blocks.mobilenet import mobilenet_arg_scope
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf

_STEM_WIDTH = 32
# Table 1 of the paper: stride of the depthwise layer, output width of the pointwise one.
_SEPARABLE_LAYERS = (
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
)
_SMALLEST_WIDTH = 8
_RELEASES = "http://download.tensorflow.org/models/mobilenet_v1_2018_08_02"


def mobilenet_v1(
    images: Any, num_classes: int, width_multiplier: float = 1.0, dropout_keep_prob: float = 0.999
) -> tuple[Any, dict[str, Any]]:
    """Every layer ``width_multiplier`` times as wide as in the paper's table."""
    end_points = {}
    with tf.variable_scope("MobilenetV1", values=[images]):
        net = slim.conv2d(images, _width(_STEM_WIDTH, width_multiplier), [3, 3], stride=2, scope="Conv2d_0")
        end_points["Conv2d_0"] = net
        for number, (stride, width) in enumerate(_SEPARABLE_LAYERS, start=1):
            depthwise, pointwise = f"Conv2d_{number}_depthwise", f"Conv2d_{number}_pointwise"
            net = slim.separable_conv2d(net, None, [3, 3], depth_multiplier=1, stride=stride, scope=depthwise)
            end_points[depthwise] = net
            net = slim.conv2d(net, _width(width, width_multiplier), [1, 1], scope=pointwise)
            end_points[pointwise] = net
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


def _width(width: int, multiplier: float) -> int:
    return max(int(width * multiplier), _SMALLEST_WIDTH)


def _record(name: str, width_multiplier: float, **facts: Any) -> NetRecord:
    """``facts`` are further fields of the record."""
    return NetRecord(
        name=name,
        builder=functools.partial(mobilenet_v1, width_multiplier=width_multiplier),
        arg_scope=functools.partial(mobilenet_arg_scope, 0.9997),
        default_image_size=224,
        preprocessing="inception",
        head_scopes=("MobilenetV1/Logits",),
        feature_end_point="AvgPool_1a",
        feature_width=_width(_SEPARABLE_LAYERS[-1][1], width_multiplier),
        paper="https://arxiv.org/abs/1704.04861",
        num_classes=1001,
        checkpoint_url=f"{_RELEASES}/mobilenet_v1_{width_multiplier}_224.tgz",
        **facts,
    )


RECORDS = (
    _record("mobilenet_v1", 1.0, num_parameters=4_233_001, flops=1_137_482_752, imagenet_top1=70.9),
    _record("mobilenet_v1_075", 0.75, num_parameters=2_586_329, flops=650_802_432, imagenet_top1=68.4),
    _record("mobilenet_v1_050", 0.5, num_parameters=1_332_105, flops=298_995_200, imagenet_top1=63.3),
    _record("mobilenet_v1_025", 0.25, num_parameters=470_329, flops=82_061_056, imagenet_top1=49.8),
)
