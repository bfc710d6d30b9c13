"""MobileNet v3 (Howard et al. 2019, arXiv:1905.02244), its minimalistic variants, and MobileNet EdgeTPU.

MobileNet EdgeTPU is of Gupta and Akin 2020 (arXiv:2003.02838). Its accuracy was stated of the 8-bit model that its
weights were made into.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from slim_train.nets.blocks.heads import global_average_pool
from slim_train.nets.blocks.inverted_residual import Unit, hard_swish, stack_units
from slim_train.nets.blocks.mobilenet import mobilenet_arg_scope, mobilenet_classifier, round_width
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf

_relu_unit = functools.partial(Unit, activation=tf.nn.relu)
_swish_unit = functools.partial(Unit, activation=hard_swish)
_fused_unit = functools.partial(Unit, activation=tf.nn.relu, fused=True)

# Table 1 of the paper.
_LARGE = (
    _relu_unit(16, expansion=1),
    _relu_unit(24, expansion=4, stride=2),
    _relu_unit(24, expansion=3),
    _relu_unit(40, expansion=3, stride=2, kernel=5, squeeze_excite=True),
    *[_relu_unit(40, expansion=3, kernel=5, squeeze_excite=True)] * 2,
    _swish_unit(80, expansion=6, stride=2),
    _swish_unit(80, expansion=2.5),
    *[_swish_unit(80, expansion=2.3)] * 2,
    *[_swish_unit(112, expansion=6, squeeze_excite=True)] * 2,
    _swish_unit(160, expansion=6, stride=2, kernel=5, squeeze_excite=True),
    *[_swish_unit(160, expansion=6, kernel=5, squeeze_excite=True)] * 2,
)
# Table 2 of the paper.
_SMALL = (
    _relu_unit(16, expansion=1, stride=2, squeeze_excite=True),
    _relu_unit(24, expansion=72 / 16, stride=2),
    _relu_unit(24, expansion=88 / 24),
    _swish_unit(40, expansion=4, stride=2, kernel=5, squeeze_excite=True),
    *[_swish_unit(40, expansion=6, kernel=5, squeeze_excite=True)] * 2,
    *[_swish_unit(48, expansion=3, kernel=5, squeeze_excite=True)] * 2,
    _swish_unit(96, expansion=6, stride=2, kernel=5, squeeze_excite=True),
    *[_swish_unit(96, expansion=6, kernel=5, squeeze_excite=True)] * 2,
)
_EDGE_TPU = (
    _fused_unit(16, expansion=1),
    _fused_unit(32, expansion=8, stride=2),
    *[_fused_unit(32, expansion=4)] * 3,
    _fused_unit(48, expansion=8, stride=2),
    *[_fused_unit(48, expansion=4)] * 3,
    _relu_unit(96, expansion=8, stride=2),
    *[_relu_unit(96, expansion=4)] * 3,
    _relu_unit(96, expansion=8, shortcut=False),
    *[_relu_unit(96, expansion=4)] * 3,
    _relu_unit(160, expansion=8, stride=2, kernel=5),
    *[_relu_unit(160, expansion=4, kernel=5)] * 3,
    _relu_unit(192, expansion=8),
)
_STEM_WIDTH = 16
_EDGE_TPU_STEM_WIDTH = 32
_EDGE_TPU_FEATURE_WIDTH = 1280


def _minimalistic(units: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """For hardware that is slow at anything else: 3x3 kernels, ReLU, no squeeze-and-excite."""
    return tuple(dataclasses.replace(unit, kernel=3, activation=tf.nn.relu, squeeze_excite=False) for unit in units)


def mobilenet_v3(
    images: Any,
    num_classes: int,
    units: tuple[Unit, ...],
    feature_width: int,
    activation: Callable[[Any], Any],
    dropout_keep_prob: float = 0.8,
) -> tuple[Any, dict[str, Any]]:
    """``activation`` is that of the layers around the units. The last hidden layer works on pooled features."""
    with tf.variable_scope("MobilenetV3", values=[images]):
        stem = slim.conv2d(images, _STEM_WIDTH, [3, 3], stride=2, activation_fn=activation, scope="Conv")
        net, layers, inner_tensors = stack_units(stem, units, width_multiplier=1.0)
        net = slim.conv2d(net, 6 * units[-1].width, [1, 1], activation_fn=activation, scope="Conv_1")
        pooled = global_average_pool(net, "AvgPool2D")
        hidden = slim.conv2d(
            pooled, feature_width, [1, 1], activation_fn=activation, normalizer_fn=None, scope="Conv_2"
        )
        number = len(units) + 2
        tail = {f"layer_{number}": net, f"layer_{number + 1}": pooled, f"layer_{number + 2}": hidden}
        end_points = {"layer_1": stem, **layers, **tail, **inner_tensors}
        return mobilenet_classifier(hidden, end_points, num_classes, dropout_keep_prob), end_points


def mobilenet_edge_tpu(
    images: Any, num_classes: int, width_multiplier: float = 1.0, dropout_keep_prob: float = 0.8
) -> tuple[Any, dict[str, Any]]:
    """Layers ``width_multiplier`` times as wide as in the table; the features stay 1280 wide."""
    with (
        tf.variable_scope("MobilenetEdgeTPU", values=[images]),
        slim.arg_scope([slim.conv2d], activation_fn=tf.nn.relu),
    ):
        stem_width = round_width(_EDGE_TPU_STEM_WIDTH * width_multiplier)
        stem = slim.conv2d(images, stem_width, [3, 3], stride=2, scope="Conv")
        net, layers, inner_tensors = stack_units(stem, _EDGE_TPU, width_multiplier)
        net = slim.conv2d(net, _EDGE_TPU_FEATURE_WIDTH, [1, 1], scope="Conv_1")
        end_points = {"layer_1": stem, **layers, f"layer_{len(_EDGE_TPU) + 2}": net, **inner_tensors}
        return mobilenet_classifier(net, end_points, num_classes, dropout_keep_prob), end_points


def _record(name: str, scope: str, builder: Callable[..., Any], feature_width: int, **facts: Any) -> NetRecord:
    """``facts`` are further fields of the record."""
    return NetRecord(
        name=name,
        builder=builder,
        arg_scope=functools.partial(mobilenet_arg_scope, 0.997),
        default_image_size=224,
        preprocessing="inception",
        head_scopes=(f"{scope}/Logits",),
        feature_end_point="global_pool",
        feature_width=feature_width,
        num_classes=1001,
        **facts,
    )


def _v3_record(
    name: str, units: tuple[Unit, ...], feature_width: int, activation: Callable[[Any], Any], **facts: Any
) -> NetRecord:
    released_name = name.removeprefix("mobilenet_v3_").replace("_", "-")
    return _record(
        name,
        "MobilenetV3",
        functools.partial(mobilenet_v3, units=units, feature_width=feature_width, activation=activation),
        feature_width,
        paper="https://arxiv.org/abs/1905.02244",
        checkpoint_url=f"https://storage.googleapis.com/mobilenet_v3/checkpoints/v3-{released_name}_224_1.0_float.tgz",
        **facts,
    )


def _edge_tpu_record(name: str, width_multiplier: float, **facts: Any) -> NetRecord:
    releases = "https://storage.googleapis.com/mobilenet_edgetpu/checkpoints"
    return _record(
        name,
        "MobilenetEdgeTPU",
        functools.partial(mobilenet_edge_tpu, width_multiplier=width_multiplier),
        _EDGE_TPU_FEATURE_WIDTH,
        paper="https://arxiv.org/abs/2003.02838",
        checkpoint_url=f"{releases}/mobilenet_edgetpu_224_{width_multiplier}.tgz",
        **facts,
    )


RECORDS = (
    _v3_record(
        "mobilenet_v3_large", _LARGE, 1280, hard_swish, num_parameters=5_484_313, flops=433_182_080, imagenet_top1=75.2
    ),
    _v3_record(
        "mobilenet_v3_small", _SMALL, 1024, hard_swish, num_parameters=2_543_881, flops=113_022_848, imagenet_top1=67.5
    ),
    _v3_record(
        "mobilenet_v3_large_minimalistic",
        _minimalistic(_LARGE),
        1280,
        tf.nn.relu,
        num_parameters=3_925_569,
        flops=418_275_968,
        imagenet_top1=72.3,
    ),
    _v3_record(
        "mobilenet_v3_small_minimalistic",
        _minimalistic(_SMALL),
        1024,
        tf.nn.relu,
        num_parameters=2_045_761,
        flops=104_578_944,
        imagenet_top1=61.9,
    ),
    _edge_tpu_record("mobilenet_v3_edge_tpu", 1.0, num_parameters=4_092_713, flops=1_981_340_928, imagenet_top1=75.6),
    _edge_tpu_record(
        "mobilenet_v3_edge_tpu_075", 0.75, num_parameters=2_989_441, flops=1_248_975_168, imagenet_top1=73.5
    ),
)
