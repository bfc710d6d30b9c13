"""A net as a graph of layers.

The vocabulary is that of Keras, and so is the meaning of what a layer holds. Layers know the variables that their
weights come from. No TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Convolutions and the like: their weights are a kernel and maybe a bias.
CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D")
LINEAR = (*CONVOLUTIONS, "Dense")
# The one kind that is not a class of Keras.
LOCAL_RESPONSE_NORMALIZATION = "LocalResponseNormalization"
# End of the names of layers in Keras whose weights are not variables.
CONSTANT = ">constant"


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer.

    Attributes:
      kind: name of its class in Keras, or :data:`LOCAL_RESPONSE_NORMALIZATION`.
      name: of the operation that computes its output, unique in the graph.
      inputs: names of the layers before it.
      config: arguments of its class, without those about weights.
      weights: by their role (kernel, bias, gamma, ...), the name of a variable, or a constant array.
      shape: of its output, without the batch.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    config: Mapping[str, Any]
    weights: Mapping[str, str | NDArray[np.float32]]
    shape: tuple[int, ...]

    def variables(self) -> dict[str, str]:
        """Return those of ``weights`` that are variables."""
        return {role: weight for role, weight in self.weights.items() if isinstance(weight, str)}


@dataclasses.dataclass(frozen=True)
class LayerGraph:
    """A net.

    Attributes:
      layers: by name, each after its inputs; the first is the input.
      output: name of the last layer.
    """

    layers: Mapping[str, Layer]
    output: str

    @property
    def input(self) -> Layer:
        """The layer that takes the images."""
        return next(iter(self.layers.values()))

    def variables(self) -> tuple[str, ...]:
        """Return the names of all variables, each once."""
        names = (name for layer in self.layers.values() for name in layer.variables().values())
        return tuple(dict.fromkeys(names))


def layers_up_to(output: str, layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """Return the layers that ``output`` is computed from, and itself, in the order of ``layers``."""
    needed, pending = set[str](), [output]
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += layers[name].inputs
    return {name: layer for name, layer in layers.items() if name in needed}


def local_response_weights(layer: Layer) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return kernel and bias of the convolution that sums the squares of channels for local response normalization."""
    channels, config = layer.shape[-1], layer.config
    distance = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
    window = np.where(distance <= config["radius"], config["alpha"], 0.0).astype(np.float32)
    return window[np.newaxis, np.newaxis], np.full(channels, config["bias"], np.float32)
