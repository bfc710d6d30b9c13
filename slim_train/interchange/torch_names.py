"""Which net of the zoo is which model of timm, and the names of their layers. No TensorFlow.

A pair is here if both compute the same: strides, padding, epsilon of batch norm, poolings and order of channels.
docs/models.md says how far their answers differ, and why other nets have no pair.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Layouts of a tensor: TensorFlow's shape -> PyTorch's.
VECTOR = "vector"  # [width] -> [width]
CONV = "conv"  # [height, width, in, out] -> [out, in, height, width]
DEPTHWISE = "depthwise"  # [height, width, channels, 1] -> [channels, 1, height, width]
LINEAR = "linear"  # [in, out] or [1, 1, in, out] -> [out, in]

# TensorFlow pads strided layers at the bottom and right, timm on all sides unless told otherwise.
_SAME_PADDING = {"pad_type": "same", "bn_eps": 0.001}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor that both have.

    Attributes:
      variable: its name in a TF-Slim checkpoint.
      key: its name in a state dict of timm.
      layout: one of the layouts above.
    """

    variable: str
    key: str
    layout: str


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution or fully connected layer with its batch norm.

    Attributes:
      scope: its variable scope in TF-Slim.
      module: timm's name.
      norm: timm's name of the batch norm that follows; "" for a layer with a bias.
      layout: of its weights.
      has_gamma: whether TF-Slim's batch norm has a scale. timm's always has.
    """

    scope: str
    module: str
    norm: str = ""
    layout: str = CONV
    has_gamma: bool = True

    def tensors(self) -> Iterator[Tensor]:
        """Yield the tensors that both have."""
        weights = "depthwise_weights" if self.layout == DEPTHWISE else "weights"
        yield Tensor(f"{self.scope}/{weights}", f"{self.module}.weight", self.layout)
        if not self.norm:
            yield Tensor(f"{self.scope}/biases", f"{self.module}.bias", VECTOR)
            return
        if self.has_gamma:
            yield Tensor(f"{self.scope}/BatchNorm/gamma", f"{self.norm}.weight", VECTOR)
        yield Tensor(f"{self.scope}/BatchNorm/beta", f"{self.norm}.bias", VECTOR)
        yield Tensor(f"{self.scope}/BatchNorm/moving_mean", f"{self.norm}.running_mean", VECTOR)
        yield Tensor(f"{self.scope}/BatchNorm/moving_variance", f"{self.norm}.running_var", VECTOR)


@dataclasses.dataclass(frozen=True)
class TimmModel:
    """A model of timm that computes what a net of the zoo computes.

    Attributes:
      net: name of the net.
      architecture: timm's name.
      arguments: of ``timm.create_model``, besides the number of classes and channels.
      layers: of both; the last is the classifier.
      auxiliary: scope of TF-Slim's auxiliary head, which timm's model does not have; "" if there is none.
      min_image_size: the smallest height and width in pixels at which both compute the same.
    """

    net: str
    architecture: str
    layers: tuple[Layer, ...]
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    auxiliary: str = ""
    min_image_size: int = 1


def why_not(net: str) -> str:
    """Return why a net of the zoo is not in :data:`MODELS`, as the rest of a sentence that starts with its name."""
    reason = next((reason for start, reason in _WITHOUT.items() if net.startswith(start)), None)
    return reason or "has no model in timm"


def _mobilenet_v1() -> Iterator[Layer]:
    yield Layer("MobilenetV1/Conv2d_0", "conv_stem", "bn1")
    for number, block in enumerate(_blocks(1, 2, 2, 6, 2), start=1):
        yield Layer(f"MobilenetV1/Conv2d_{number}_depthwise", f"{block}.conv_dw", f"{block}.bn1", DEPTHWISE)
        yield Layer(f"MobilenetV1/Conv2d_{number}_pointwise", f"{block}.conv_pw", f"{block}.bn2")
    yield Layer("MobilenetV1/Logits/Conv2d_1c_1x1", "classifier", layout=LINEAR)


def _mobilenet_v2() -> Iterator[Layer]:
    yield Layer("MobilenetV2/Conv", "conv_stem", "bn1")
    yield from _inverted_residuals("MobilenetV2", (1, 2, 3, 4, 3, 3, 1))
    yield Layer("MobilenetV2/Conv_1", "conv_head", "bn2")
    yield Layer("MobilenetV2/Logits/Conv2d_1c_1x1", "classifier", layout=LINEAR)


def _mobilenet_v3(depths: Sequence[int], with_gate: Sequence[int]) -> Iterator[Layer]:
    """``with_gate`` are the numbers of the units with squeeze-and-excite."""
    yield Layer("MobilenetV3/Conv", "conv_stem", "bn1")
    yield from _inverted_residuals("MobilenetV3", depths, with_gate)
    last = f"blocks.{len(depths)}.0"
    yield Layer("MobilenetV3/Conv_1", f"{last}.conv", f"{last}.bn1")
    yield Layer("MobilenetV3/Conv_2", "conv_head")
    yield Layer("MobilenetV3/Logits/Conv2d_1c_1x1", "classifier", layout=LINEAR)


def _inverted_residuals(net: str, depths: Sequence[int], with_gate: Sequence[int] = ()) -> Iterator[Layer]:
    """The first unit does not expand: timm has it as a depthwise-separable convolution, with other names."""
    for number, block in enumerate(_blocks(*depths)):
        scope = f"{net}/expanded_conv_{number}" if number else f"{net}/expanded_conv"
        depthwise, project = ("bn2", "conv_pwl") if number else ("bn1", "conv_pw")
        if number:
            yield Layer(f"{scope}/expand", f"{block}.conv_pw", f"{block}.bn1")
        yield Layer(f"{scope}/depthwise", f"{block}.conv_dw", f"{block}.{depthwise}", DEPTHWISE)
        if number in with_gate:
            yield Layer(f"{scope}/squeeze_excite/Conv", f"{block}.se.conv_reduce")
            yield Layer(f"{scope}/squeeze_excite/Conv_1", f"{block}.se.conv_expand")
        yield Layer(f"{scope}/project", f"{block}.{project}", f"{block}.{'bn3' if number else 'bn2'}")


def _blocks(*depths: int) -> Iterator[str]:
    """Yield the names of blocks in stages of these depths."""
    for stage, depth in enumerate(depths):
        yield from (f"blocks.{stage}.{number}" for number in range(depth))


# Convolutions of the branches of Inception modules, named after TF-Slim's scopes; POOL is a pooling.
_Branches = tuple[tuple[str, ...], ...]
POOL = "pool"
_V4_A: _Branches = (("0a_1x1",), ("0a_1x1", "0b_3x3"), ("0a_1x1", "0b_3x3", "0c_3x3"), (POOL, "0b_1x1"))
_V4_B: _Branches = (
    ("0a_1x1",),
    ("0a_1x1", "0b_1x7", "0c_7x1"),
    ("0a_1x1", "0b_7x1", "0c_1x7", "0d_7x1", "0e_1x7"),
    (POOL, "0b_1x1"),
)
# Its branches fork, and timm names each of their layers.
_V4_C = {
    "Branch_0/Conv2d_0a_1x1": "branch0",
    "Branch_1/Conv2d_0a_1x1": "branch1_0",
    "Branch_1/Conv2d_0b_1x3": "branch1_1a",
    "Branch_1/Conv2d_0c_3x1": "branch1_1b",
    "Branch_2/Conv2d_0a_1x1": "branch2_0",
    "Branch_2/Conv2d_0b_3x1": "branch2_1",
    "Branch_2/Conv2d_0c_1x3": "branch2_2",
    "Branch_2/Conv2d_0d_1x3": "branch2_3a",
    "Branch_2/Conv2d_0e_3x1": "branch2_3b",
    "Branch_3/Conv2d_0b_1x1": "branch3.1",
}


def _inception_v4() -> Iterator[Layer]:
    net = "InceptionV4"
    for number, name in enumerate(("1a_3x3", "2a_3x3", "2b_3x3")):
        yield _conv(f"{net}/Conv2d_{name}", f"features.{number}")
    yield _conv(f"{net}/Mixed_3a/Branch_1/Conv2d_0a_3x3", "features.3.conv")
    stem: _Branches = (("0a_1x1", "1a_3x3"), ("0a_1x1", "0b_1x7", "0c_7x1", "1a_3x3"))
    yield from _branches(f"{net}/Mixed_4a", "features.4", stem)
    yield _conv(f"{net}/Mixed_5a/Branch_0/Conv2d_1a_3x3", "features.5.conv")
    for number, letter in enumerate("bcde", start=6):
        yield from _branches(f"{net}/Mixed_5{letter}", f"features.{number}", _V4_A)
    reduction_a: _Branches = (("1a_3x3",), ("0a_1x1", "0b_3x3", "1a_3x3"))
    yield from _branches(f"{net}/Mixed_6a", "features.10", reduction_a)
    for number, letter in enumerate("bcdefgh", start=11):
        yield from _branches(f"{net}/Mixed_6{letter}", f"features.{number}", _V4_B)
    yield from _branches(f"{net}/Mixed_7a", "features.18", stem)
    for number, letter in enumerate("bcd", start=19):
        for scope, name in _V4_C.items():
            yield _conv(f"{net}/Mixed_7{letter}/{scope}", f"features.{number}.{name}")
    yield Layer(f"{net}/Logits/Logits", "last_linear", layout=LINEAR)


def _inception_resnet_v2() -> Iterator[Layer]:
    net = "InceptionResnetV2"
    for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"):
        yield _conv(f"{net}/Conv2d_{name}", f"conv2d_{name[:2]}")
    mixed_5b: _Branches = (("1x1",), ("0a_1x1", "0b_5x5"), ("0a_1x1", "0b_3x3", "0c_3x3"), (POOL, "0b_1x1"))
    block_35: _Branches = (("1x1",), ("0a_1x1", "0b_3x3"), ("0a_1x1", "0b_3x3", "0c_3x3"))
    block_17: _Branches = (("1x1",), ("0a_1x1", "0b_1x7", "0c_7x1"))
    block_8: _Branches = (("1x1",), ("0a_1x1", "0b_1x3", "0c_3x1"))
    mixed_7a: _Branches = (("0a_1x1", "1a_3x3"), ("0a_1x1", "1a_3x3"), ("0a_1x1", "0b_3x3", "1a_3x3"))
    yield from _branches(f"{net}/Mixed_5b", "mixed_5b", mixed_5b)
    yield from _residuals(f"{net}/Repeat/block35", "repeat", 10, block_35)
    yield from _branches(f"{net}/Mixed_6a", "mixed_6a", (("1a_3x3",), ("0a_1x1", "0b_3x3", "1a_3x3")))
    yield from _residuals(f"{net}/Repeat_1/block17", "repeat_1", 20, block_17)
    yield from _branches(f"{net}/Mixed_7a", "mixed_7a", mixed_7a)
    yield from _residuals(f"{net}/Repeat_2/block8", "repeat_2", 9, block_8)
    yield from _residual(f"{net}/Block8", "block8", block_8)
    yield _conv(f"{net}/Conv2d_7b_1x1", "conv2d_7b")
    yield Layer(f"{net}/Logits/Logits", "classif", layout=LINEAR)


def _residuals(scope: str, module: str, times: int, table: _Branches) -> Iterator[Layer]:
    for number in range(times):
        yield from _residual(f"{scope}_{number + 1}", f"{module}.{number}", table)


def _residual(scope: str, module: str, table: _Branches) -> Iterator[Layer]:
    yield from _branches(scope, module, table)
    yield Layer(f"{scope}/Conv2d_1x1", f"{module}.conv2d")


def _branches(scope: str, module: str, table: _Branches) -> Iterator[Layer]:
    for number, names in enumerate(table):
        branch = f"{module}.branch{number}"
        for place, name in enumerate(names):
            if name != POOL:
                yield _conv(
                    f"{scope}/Branch_{number}/Conv2d_{name}", branch if len(names) == 1 else f"{branch}.{place}"
                )


def _conv(scope: str, module: str) -> Layer:
    """Return a convolution of an Inception net: with batch norm that has no scale."""
    return Layer(scope, f"{module}.conv", f"{module}.bn", has_gamma=False)


def _vgg(net: str, depths: Sequence[int]) -> Iterator[Layer]:
    place = 0
    for block, depth in enumerate(depths, start=1):
        for number in range(1, depth + 1):
            yield Layer(f"{net}/conv{block}/conv{block}_{number}", f"features.{place}")
            place += 2  # with its ReLU
        place += 1  # pooling
    yield Layer(f"{net}/fc6", "pre_logits.fc1")
    yield Layer(f"{net}/fc7", "pre_logits.fc2")
    yield Layer(f"{net}/fc8", "head.fc", layout=LINEAR)


_LARGE, _SMALL = (1, 2, 3, 4, 2, 3), (1, 2, 3, 2, 3)
_MODELS = (
    TimmModel("mobilenet_v1", "mobilenetv1_100", tuple(_mobilenet_v1()), _SAME_PADDING),
    TimmModel("mobilenet_v2", "mobilenetv2_100", tuple(_mobilenet_v2()), _SAME_PADDING),
    TimmModel("mobilenet_v2_140", "mobilenetv2_140", tuple(_mobilenet_v2()), _SAME_PADDING),
    TimmModel("mobilenet_v2_050", "mobilenetv2_050", tuple(_mobilenet_v2()), _SAME_PADDING),
    TimmModel("mobilenet_v2_035", "mobilenetv2_035", tuple(_mobilenet_v2()), _SAME_PADDING),
    TimmModel(
        "mobilenet_v3_large", "tf_mobilenetv3_large_100", tuple(_mobilenet_v3(_LARGE, (3, 4, 5, 10, 11, 12, 13, 14)))
    ),
    TimmModel(
        "mobilenet_v3_small",
        "tf_mobilenetv3_small_100",
        tuple(_mobilenet_v3(_SMALL, (0, 3, 4, 5, 6, 7, 8, 9, 10))),
    ),
    TimmModel("mobilenet_v3_large_minimalistic", "tf_mobilenetv3_large_minimal_100", tuple(_mobilenet_v3(_LARGE, ()))),
    TimmModel("mobilenet_v3_small_minimalistic", "tf_mobilenetv3_small_minimal_100", tuple(_mobilenet_v3(_SMALL, ()))),
    TimmModel("inception_v4", "inception_v4", tuple(_inception_v4()), auxiliary="InceptionV4/AuxLogits"),
    TimmModel(
        "inception_resnet_v2",
        "inception_resnet_v2",
        tuple(_inception_resnet_v2()),
        auxiliary="InceptionResnetV2/AuxLogits",
    ),
    # Smaller maps are padded here before the fully connected layers, and stretched by timm.
    TimmModel("vgg_a", "vgg11", tuple(_vgg("vgg_a", (1, 1, 2, 2, 2))), min_image_size=224),
    TimmModel("vgg_16", "vgg16", tuple(_vgg("vgg_16", (2, 2, 3, 3, 3))), min_image_size=224),
    TimmModel("vgg_19", "vgg19", tuple(_vgg("vgg_19", (2, 2, 4, 4, 4))), min_image_size=224),
)
MODELS = {model.net: model for model in _MODELS}

_STRIDES = "has its strides in the last unit of each block, and timm's ResNets in the first"
# Nets that timm has too, and that compute something else there, by the start of their names.
_WITHOUT = {
    "inception_v3": "does not average the padding at the borders of its poolings, and timm's inception_v3 does",
    "mobilenet_v1_": "is narrower than the MobileNet v1 models of timm",
    "mobilenet_v3_edge_tpu": "has no ReLU after its first projection, and timm's mobilenet_edgetpu_100 has one",
    "resnet_v1": _STRIDES,
    "resnet_v2": _STRIDES,
}
