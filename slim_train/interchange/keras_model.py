"""A net as a Keras 3 model of Keras' own layers, which loads and trains without slim-train."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slim_train.interchange.keras_names import layer_name
from slim_train.interchange.layer_graph import (
    CONSTANT,
    LINEAR,
    LOCAL_RESPONSE_NORMALIZATION,
    Layer,
    LayerGraph,
    local_response_weights,
)
from slim_train.tf_compat import keras_3

# Name of the input layer, by which a model that was written here is known.
INPUT = "pixels"
_MERGES = ("Add", "Multiply", "Subtract", "Maximum", "Concatenate")


def build_model(name: str, graph: LayerGraph, values: Mapping[str, NDArray[np.float32]]) -> Any:
    """Return a functional ``keras.Model``.

    Args:
      name: of the model.
      graph: its layers.
      values: of the variables, by name.

    Raises:
      UsageError: a variable cannot be named in Keras.
    """
    keras = keras_3()
    names = _names(graph)
    tensors: dict[str, Any] = {}
    weighted: dict[tuple[Any, ...], Any] = {}  # layers by their variables: two that share them are one
    for layer in graph.layers.values():
        if layer is graph.input:
            tensors[layer.name] = keras.Input(layer.shape, name=INPUT, dtype=layer.config["dtype"])
            continue
        inputs = [tensors[source] for source in layer.inputs]
        if layer.kind == LOCAL_RESPONSE_NORMALIZATION:
            tensors[layer.name] = _local_response_normalization(keras, layer, names[layer.name], inputs[0])
            continue
        key = (layer.kind, repr(layer.config), tuple(layer.variables().items()))
        made = weighted.get(key) if layer.variables() else None
        keras_layer: Any = made or _make(keras, layer, names[layer.name])
        tensors[layer.name] = keras_layer(inputs if layer.kind in _MERGES else inputs[0])
        if made is None:
            weighted[key] = keras_layer
            _set_weights(keras_layer, layer, values)
    title = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)
    return keras.Model(tensors[graph.input.name], tensors[graph.output], name=title)


def _names(graph: LayerGraph) -> dict[str, str]:
    """Return a Keras name for each layer. Layers with variables choose first: their names are read again."""
    names = {
        layer.name: layer_name(layer.kind, layer.variables()) for layer in graph.layers.values() if layer.variables()
    }
    taken = {INPUT, *names.values()}
    for layer in graph.layers.values():
        if layer.name not in names:
            plain = name = re.sub(r"[^A-Za-z0-9_.\-]", ".", layer.name)
            number = 1
            while name in taken:
                name, number = f"{plain}_{number}", number + 1
            taken.add(name)
            names[layer.name] = f"{name}{CONSTANT}" if layer.weights else name
    return names


def _make(keras: Any, layer: Layer, name: str) -> Any:
    config: dict[str, Any] = {**layer.config}
    if layer.kind in LINEAR:
        config["use_bias"] = "bias" in layer.weights
    if layer.kind == "BatchNormalization":
        config |= {"center": "beta" in layer.weights, "scale": "gamma" in layer.weights}
    if layer.kind == "Rescaling" and np.ndim(config["scale"]) + np.ndim(config["offset"]):
        return _normalization(keras, layer, name)
    return getattr(keras.layers, layer.kind)(**config, name=name)


def _normalization(keras: Any, layer: Layer, name: str) -> Any:
    """Return scaling by channel as Keras has it: (x - mean) / sqrt(variance)."""
    channels = [layer.shape[-1]]
    scale = np.broadcast_to(layer.config["scale"], channels)
    offset = np.broadcast_to(layer.config["offset"], channels)
    return keras.layers.Normalization(mean=(-offset / scale).tolist(), variance=(1.0 / scale**2).tolist(), name=name)


def _local_response_normalization(keras: Any, layer: Layer, name: str, images: Any) -> Any:
    """Return x / (bias + alpha * sum of the squares of the channels around it) ** beta, which is no layer of Keras."""
    window, bias = local_response_weights(layer)
    sums = keras.layers.Conv2D(len(bias), 1, trainable=False, name=f"{name}{CONSTANT}")
    divisor = sums(keras.layers.Multiply(name=f"{name}.squares")([images, images]))
    sums.kernel.assign(window)
    sums.bias.assign(bias)
    factor = keras.ops.power(divisor, -layer.config["beta"])
    return keras.layers.Multiply(name=name)([images, factor])


def _set_weights(keras_layer: Any, layer: Layer, values: Mapping[str, NDArray[np.float32]]) -> None:
    for role, weight in layer.weights.items():
        getattr(keras_layer, role).assign(values[weight] if isinstance(weight, str) else weight)
