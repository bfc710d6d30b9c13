"""A graph of layers written in one way only, so that two nets that compute the same are the same graph.

Dropout is gone, padding is a part of the layer that it is for, a dense layer is a convolution over the whole map, and
what does nothing to a map of one place is left out. No TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from slim_train.interchange.keras_layers import strides_of, window_size
from slim_train.interchange.layer_graph import (
    CONSTANT,
    CONVOLUTIONS,
    LOCAL_RESPONSE_NORMALIZATION,
    Layer,
    LayerGraph,
    layers_up_to,
    local_response_weights,
)

_POOLS = ("MaxPooling2D", "AveragePooling2D")
_NO_PADS = ((0, 0), (0, 0))


def plain_layers(graph: LayerGraph) -> LayerGraph:
    """Return the same net, without a softmax at its end."""
    return _Writer(graph).write()


def without_scaling(graph: LayerGraph) -> tuple[LayerGraph, tuple[float, float] | None]:
    """Return a net without the scaling of the images at its beginning, and that: factor and offset, or None."""
    first = [layer for layer in graph.layers.values() if layer.inputs == (graph.input.name,)]
    if len(first) != 1 or first[0].kind != "Rescaling":
        return graph, None
    scaling = first[0]
    layers = {
        name: dataclasses.replace(
            layer, inputs=tuple(graph.input.name if source == scaling.name else source for source in layer.inputs)
        )
        for name, layer in graph.layers.items()
        if layer is not scaling
    }
    return LayerGraph(layers, graph.output), (_rounded(scaling.config["scale"]), _rounded(scaling.config["offset"]))


class _Writer:
    def __init__(self, graph: LayerGraph) -> None:
        self._graph = graph
        self._layers: dict[str, Layer] = {}
        self._now: dict[str, str] = {}  # the layer that a layer has become

    def write(self) -> LayerGraph:
        for layer in self._graph.layers.values():
            self._now[layer.name] = self._read(layer, [self._now[source] for source in layer.inputs])
        output = self._now[self._graph.output]
        if self._layers[output].kind == "Softmax":
            (output,) = self._layers[output].inputs
        source = self._graph.input.name
        return LayerGraph({source: self._layers[source], **layers_up_to(output, self._layers)}, output)

    def _read(self, layer: Layer, inputs: list[str]) -> str:
        """Return the name of what a layer becomes."""
        kind, config = layer.kind, layer.config
        if kind == "Dropout" or config.get("activation") == "linear":
            return inputs[0]
        if kind in ("Reshape", "Flatten", "GlobalAveragePooling2D", *_POOLS) and self._is_one_place(inputs[0]):
            return inputs[0]
        if kind == "Activation":
            return self._activation(layer, inputs[0])
        if kind == "ReLU":
            facts = {name: config.get(name) or 0.0 for name in ("max_value", "negative_slope", "threshold")}
            return self._add("ReLU", layer, inputs, facts)
        if kind == "Dense":
            return self._dense(layer, inputs[0])
        if kind in CONVOLUTIONS or kind in _POOLS:
            return self._window(layer, inputs[0])
        if kind == "GlobalAveragePooling2D":
            return self._add(kind, layer, inputs, {}, shape=layer.shape[-1:])
        if kind == "BatchNormalization":
            return self._add(kind, layer, inputs, {"epsilon": round(config["epsilon"], 9)})
        if kind == "Rescaling":
            return self._rescaling(layer, inputs[0])
        if kind == "Flatten":
            return self._add(kind, layer, inputs, {}, shape=self._layers[inputs[0]].shape)
        if kind == LOCAL_RESPONSE_NORMALIZATION:
            return self._local_response_normalization(layer, inputs[0])
        if kind in ("Concatenate", "InputLayer"):
            return self._add(kind, layer, inputs, {})
        return self._add(kind, layer, inputs, config)

    def _add(self, kind: str, layer: Layer, inputs: list[str], config: Mapping[str, Any], **changes: Any) -> str:
        name = changes.pop("name", layer.name)
        fields = {"weights": layer.weights, "shape": layer.shape, **changes}
        if len(fields["shape"]) == 1:
            fields["shape"] = (1, 1, *fields["shape"])
        self._layers[name] = Layer(kind, name, tuple(inputs), dict(config), **fields)
        return name

    def _is_one_place(self, name: str) -> bool:
        shape = self._layers[name].shape
        return shape[:2] == (1, 1)

    def _activation(self, layer: Layer, source: str) -> str:
        activation = layer.config["activation"]
        if activation in ("relu", "relu6"):
            facts = {"max_value": 6.0 if activation == "relu6" else 0.0, "negative_slope": 0.0, "threshold": 0.0}
            return self._add("ReLU", layer, [source], facts)
        if activation == "softmax":
            return self._add("Softmax", layer, [source], {})
        if activation in ("hard_silu", "hard_swish"):
            config = {"activation": "hard_sigmoid"}
            gate = self._add("Activation", layer, [source], config, name=f"{layer.name}.gate")
            return self._add("Multiply", layer, [source, gate], {})
        return self._add("Activation", layer, [source], {"activation": activation})

    def _local_response_normalization(self, layer: Layer, source: str) -> str:
        """Return the layers that export writes for it."""
        weights = dict(zip(("kernel", "bias"), local_response_weights(layer), strict=True))
        facts = _window_facts((1, 1), (1, 1), _NO_PADS) | {"filters": layer.shape[-1], "groups": 1}
        name = self._add("Multiply", layer, [source, source], {}, name=f"{layer.name}.squares")
        name = self._add("Conv2D", layer, [name], facts, name=f"{layer.name}{CONSTANT}", weights=weights)
        exponent = {"exponent": -layer.config["beta"]}
        name = self._add("Power", layer, [name], exponent, name=f"{layer.name}.power")
        return self._add("Multiply", layer, [source, name], {})

    def _dense(self, layer: Layer, source: str) -> str:
        """Return a convolution over the whole map."""
        before = self._layers[source]
        if before.kind == "Flatten":
            (source,) = before.inputs
        facts = _window_facts(self._layers[source].shape[:2], (1, 1), _NO_PADS) | {
            "filters": layer.config["units"],
            "groups": 1,
        }
        return self._add("Conv2D", layer, [source], facts, shape=layer.shape[-1:])

    def _window(self, layer: Layer, source: str) -> str:
        """A convolution or pooling with its padding."""
        before = self._layers[source]
        inside = _NO_PADS
        if before.kind == "ZeroPadding2D" and layer.config["padding"] == "valid":
            (source,) = before.inputs
            inside = before.config["padding"]
        (top, _), (left, _) = inside
        window, strides, sides = window_size(layer), strides_of(layer), self._layers[source].shape
        outputs = layer.shape
        # How far the windows reach beyond the last row and column; less than 0 if they do not reach them.
        reach = [(outputs[i] - 1) * strides[i] + window[i] - sides[i] for i in (0, 1)]
        if layer.config["padding"] == "same":
            top, left = (max(beyond, 0) // 2 for beyond in reach)
        pads = ((top, reach[0] - top), (left, reach[1] - left))
        if layer.kind == "AveragePooling2D" and window == sides[:2] and pads == _NO_PADS:
            return self._add("GlobalAveragePooling2D", layer, [source], {}, shape=layer.shape[-1:])
        sizes = layer.config.get("kernel_size") or layer.config["pool_size"]
        facts = _window_facts(sizes, strides, pads)
        facts["dilation"] = tuple(layer.config.get("dilation_rate", (1, 1)))
        if layer.kind == "Conv2D":
            facts |= {"filters": layer.config["filters"], "groups": layer.config.get("groups", 1)}
        elif layer.kind == "DepthwiseConv2D":
            facts["multiplier"] = layer.config["depth_multiplier"]
        elif any(side > 0 for pad in pads for side in pad):
            # Zeros beside values that are not negative change no maximum.
            is_changed = layer.kind == "AveragePooling2D" or self._layers[source].kind != "ReLU"
            facts["zeros count"] = inside != _NO_PADS and is_changed
        return self._add(layer.kind, layer, [source], facts)

    def _rescaling(self, layer: Layer, source: str) -> str:
        scale, offset = layer.config.get("scale", 1.0), layer.config.get("offset", 0.0)
        before = self._layers[source]
        is_sixth = np.ndim(scale) == np.ndim(offset) == 0 and np.isclose(scale, 1 / 6) and offset == 0.0
        if before.kind == "ReLU" and before.config["max_value"] == 6.0 and is_sixth:
            shift = self._layers[before.inputs[0]]
            if shift.kind == "Rescaling" and shift.config == {"scale": 1.0, "offset": 3.0}:
                return self._add("Activation", layer, list(shift.inputs), {"activation": "hard_sigmoid"})
        return self._add("Rescaling", layer, [source], {"scale": _rounded(scale), "offset": _rounded(offset)})


def _rounded(value: Any) -> Any:
    """Return a number, or a list of one for each channel if they differ."""
    rounded = np.round(value, 6)
    return rounded.flat[0].item() if np.all(rounded == rounded.flat[0]) else rounded.tolist()


def _window_facts(size: Any, strides: Any, pads: Any) -> dict[str, Any]:
    return {"size": tuple(size), "strides": tuple(strides), "pads": pads, "dilation": (1, 1)}
