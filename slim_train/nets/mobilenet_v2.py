"""MobileNet v2: inverted residuals and linear bottlenecks (Sandler et al. 2018, arXiv:1801.04381)."""

from __future__ import annotations

import functools
from typing import Any

from slim_train.nets.blocks.inverted_residual import Unit, stack_units
from slim_train.nets.blocks.mobilenet import mobilenet_arg_scope, mobilenet_classifier, round_width
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf

_STEM_WIDTH = 32
_FEATURE_WIDTH = 1280
_RELEASES = "https://storage.googleapis.com/mobilenet_v2/checkpoints"
# Table 2 of the paper, one unit a row.
_UNITS = (
    Unit(16, expansion=1),
    Unit(24, expansion=6, stride=2),
    Unit(24, expansion=6),
    Unit(32, expansion=6, stride=2),
    *[Unit(32, expansion=6)] * 2,
    Unit(64, expansion=6, stride=2),
    *[Unit(64, expansion=6)] * 3,
    *[Unit(96, expansion=6)] * 3,
    Unit(160, expansion=6, stride=2),
    *[Unit(160, expansion=6)] * 2,
    Unit(320, expansion=6),
)


def mobilenet_v2(
    images: Any, num_classes: int, width_multiplier: float = 1.0, dropout_keep_prob: float = 0.8
) -> tuple[Any, dict[str, Any]]:
    """Layers ``width_multiplier`` times as wide as in the paper's table; the features narrow only down to 1280."""
    with tf.variable_scope("MobilenetV2", values=[images]):
        stem = slim.conv2d(images, round_width(_STEM_WIDTH * width_multiplier), [3, 3], stride=2, scope="Conv")
        net, layers, inner_tensors = stack_units(stem, _UNITS, width_multiplier)
        net = slim.conv2d(net, _feature_width(width_multiplier), [1, 1], scope="Conv_1")
        end_points = {"layer_1": stem, **layers, "layer_19": net, **inner_tensors}
        output = mobilenet_classifier(net, end_points, num_classes, dropout_keep_prob)
    return output, end_points


def _feature_width(width_multiplier: float) -> int:
    return round_width(_FEATURE_WIDTH * max(1.0, width_multiplier))


def _record(name: str, width_multiplier: float, **facts: Any) -> NetRecord:
    """``facts`` are further fields of the record."""
    return NetRecord(
        name=name,
        builder=functools.partial(mobilenet_v2, width_multiplier=width_multiplier),
        arg_scope=functools.partial(mobilenet_arg_scope, 0.997),
        default_image_size=224,
        preprocessing="inception",
        head_scopes=("MobilenetV2/Logits",),
        feature_end_point="global_pool",
        feature_width=_feature_width(width_multiplier),
        paper="https://arxiv.org/abs/1801.04381",
        num_classes=1001,
        checkpoint_url=f"{_RELEASES}/mobilenet_v2_{width_multiplier}_224.tgz",
        **facts,
    )


RECORDS = (
    _record("mobilenet_v2", 1.0, num_parameters=3_506_153, flops=601_551_104, imagenet_top1=71.9),
    _record("mobilenet_v2_140", 1.4, num_parameters=6_110_569, flops=1_164_395_232, imagenet_top1=74.9),
    _record("mobilenet_v2_050", 0.5, num_parameters=1_969_961, flops=194_266_240, imagenet_top1=65.4),
    _record("mobilenet_v2_035", 0.35, num_parameters=1_678_409, flops=118_574_176, imagenet_top1=60.3),
)
