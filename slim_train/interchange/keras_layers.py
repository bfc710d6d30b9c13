"""A Keras model as a graph of layers, with one layer for each thing that is computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from slim_train.errors import UsageError
from slim_train.interchange.keras_archive import StoredLayer, StoredModel
from slim_train.interchange.keras_names import ROLES
from slim_train.interchange.layer_graph import Layer, LayerGraph

Shape = tuple[int, ...]

# What layers are, and what decides what they compute; weights, names and initializers aside.
_CONFIG = {
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "groups"),
    "DepthwiseConv2D": ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate"),
    "Dense": ("units",),
    "BatchNormalization": ("epsilon",),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Activation": ("activation",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "GlobalAveragePooling2D": ("keepdims",),
    "ZeroPadding2D": ("padding",),
    "Cropping2D": ("cropping",),
    "Concatenate": ("axis",),
    "Reshape": ("target_shape",),
    "Rescaling": ("scale", "offset"),
    "Dropout": ("rate",),
    "LayerNormalization": ("axis", "epsilon", "center", "scale"),
    "LeakyReLU": ("negative_slope",),
    **dict.fromkeys(("Add", "Multiply", "Subtract", "Maximum", "Flatten", "Softmax"), ()),
}


def keras_layers(model: StoredModel, default_size: int | None = None) -> LayerGraph:
    """Return the layers of a functional model with one input and one output.

    Args:
      model: as it is stored.
      default_size: height and width of its input in pixels, if it takes any; None if it must say them.

    Raises:
      UsageError: the model has a layer that no net has.
    """
    images = model.input_layer()
    if images is None:
        raise UsageError("it does not have one input")
    builder = _Builder(images, default_size)
    for layer in model.layers:
        if layer is not images:
            builder.read(layer)
    return builder.graph()


class _Builder:
    def __init__(self, images: StoredLayer, default_size: int | None) -> None:
        sides = images.config["batch_shape"][1:]
        if len(sides) != 3 or not sides[2]:
            raise UsageError("it does not take images")
        height, width, channels = sides[0] or default_size, sides[1] or default_size, sides[2]
        if height is None or width is None:
            raise UsageError("it takes images of any size")
        shape = (height, width, channels)
        self._layers = {images.name: Layer("InputLayer", images.name, (), {}, {}, shape)}
        self._last_of = {images.name: images.name}  # a stored layer may become several

    def graph(self) -> LayerGraph:
        used = {source for layer in self._layers.values() for source in layer.inputs}
        outputs = [name for name in self._layers if name not in used]
        if len(outputs) != 1:
            raise UsageError("it does not have one output")
        return LayerGraph(self._layers, outputs[0])

    def read(self, stored: StoredLayer) -> None:
        config: dict[str, Any]
        if stored.num_calls != 1:
            raise UsageError(f"its layer {stored.name} is used more than once")
        inputs = [self._last_of[source] for source in stored.inputs]
        if stored.kind == "SeparableConv2D":
            self._separable(stored, inputs)
        elif stored.kind == "CustomScaleLayer":  # of keras.applications' Inception-ResNet: x + scale * y
            scaled = self._add("Rescaling", f"{stored.name}.scale", inputs[1:], {"scale": stored.config["scale"]})
            self._add("Add", stored.name, [inputs[0], scaled], {})
        elif stored.numbers and stored.kind in ("Add", "Multiply") and len(inputs) == 1:
            number = stored.numbers[0]
            config = {"offset": number} if stored.kind == "Add" else {"scale": number}
            self._add("Rescaling", stored.name, inputs, config)
        elif stored.kind == "Normalization" and not stored.weights:
            mean, deviation = np.ravel(stored.config["mean"]), np.sqrt(np.ravel(stored.config["variance"]))
            config = {"scale": tuple(1.0 / deviation), "offset": tuple(-mean / deviation)}
            self._add("Rescaling", stored.name, inputs, config)
        elif stored.kind == "Power" and stored.numbers and len(inputs) == 1:
            self._add("Power", stored.name, inputs, {"exponent": stored.numbers[0]})
        elif stored.kind in _CONFIG:
            config = {name: _frozen(stored.config[name]) for name in _CONFIG[stored.kind] if name in stored.config}
            roles = [role for role in ROLES.get(stored.kind, ()) if stored.has(role)]
            if len(roles) != len(stored.weights):
                raise UsageError(f"its layer {stored.name} has {len(stored.weights)} weights, not {len(roles)}")
            weights = dict(zip(roles, stored.weights, strict=True))
            self._add(stored.kind, stored.name, inputs, config, weights)
        else:
            raise UsageError(f"its layer {stored.name} is a {stored.kind}, which no net of slim-train has")
        activation = stored.config.get("activation")
        if stored.kind != "Activation" and activation not in (None, "linear"):
            name = f"{stored.name}.activation"
            self._add("Activation", name, [stored.name], {"activation": activation})
            self._last_of[stored.name] = name

    def _separable(self, stored: StoredLayer, inputs: list[str]) -> None:
        """A convolution by channel, and one of single places."""
        depthwise, pointwise, *bias = stored.weights
        config = {name: _frozen(stored.config[name]) for name in _CONFIG["DepthwiseConv2D"]}
        name = self._add("DepthwiseConv2D", f"{stored.name}.depthwise", inputs, config, {"kernel": depthwise})
        config = {"filters": stored.config["filters"], "kernel_size": (1, 1), "padding": "valid"}
        weights = {"kernel": pointwise, **({"bias": bias[0]} if bias else {})}
        self._add("Conv2D", stored.name, [name], config, weights)

    def _add(
        self,
        kind: str,
        name: str,
        inputs: list[str],
        config: Mapping[str, Any],
        weights: Mapping[str, Any] | None = None,
    ) -> str:
        shape = output_shape(kind, config, [self._layers[source].shape for source in inputs])
        self._layers[name] = Layer(kind, name, tuple(inputs), config, dict(weights or {}), shape)
        self._last_of[name] = name
        return name


def _frozen(value: Any) -> Any:
    return tuple(_frozen(entry) for entry in value) if isinstance(value, list | tuple) else value


def window_size(layer: Layer) -> tuple[int, int]:
    """Return height and width that one output of a convolution or pooling sees."""
    sizes = layer.config.get("kernel_size") or layer.config["pool_size"]
    dilation = layer.config.get("dilation_rate", (1, 1))
    height, width = ((size - 1) * rate + 1 for size, rate in zip(sizes, dilation, strict=True))
    return height, width


def strides_of(layer: Layer) -> tuple[int, int]:
    """Return the strides of a convolution or pooling."""
    height, width = layer.config.get("strides") or layer.config.get("pool_size") or (1, 1)
    return height, width


def output_shape(kind: str, config: Mapping[str, Any], inputs: list[Shape]) -> Shape:
    """Return the shape of the output of a layer, without the batch."""
    first = inputs[0]
    shapes: dict[str, Callable[[], Iterable[int]]] = {
        "Conv2D": lambda: (*_window_shape(kind, config, first), config["filters"]),
        "DepthwiseConv2D": lambda: (*_window_shape(kind, config, first), first[2] * config["depth_multiplier"]),
        "MaxPooling2D": lambda: (*_window_shape(kind, config, first), first[2]),
        "AveragePooling2D": lambda: (*_window_shape(kind, config, first), first[2]),
        "Dense": lambda: (*first[:-1], config["units"]),
        "GlobalAveragePooling2D": lambda: (1, 1, first[2]) if config.get("keepdims") else first[2:],
        "ZeroPadding2D": lambda: _padded(first, config["padding"], 1),
        "Cropping2D": lambda: _padded(first, config["cropping"], -1),
        "Concatenate": lambda: (*first[:-1], sum(shape[-1] for shape in inputs)),
        "Flatten": lambda: (math.prod(first),),
        "Reshape": lambda: config["target_shape"],
    }
    return tuple(shapes[kind]()) if kind in shapes else tuple(int(side) for side in np.broadcast_shapes(*inputs))


def _window_shape(kind: str, config: Mapping[str, Any], shape: Shape) -> list[int]:
    layer = Layer(kind, "", (), config, {}, ())
    sides = zip(shape, window_size(layer), strides_of(layer), strict=False)
    if config["padding"] == "same":
        return [-(-side // stride) for side, _, stride in sides]
    return [(side - window) // stride + 1 for side, window, stride in sides]


def _padded(shape: Shape, borders: tuple[tuple[int, int], tuple[int, int]], sign: int) -> Shape:
    (top, bottom), (left, right) = borders
    return shape[0] + sign * (top + bottom), shape[1] + sign * (left + right), shape[2]
