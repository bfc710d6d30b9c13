"""The layers of a Keras file beside the checkpoint that it became, and what they have that a net does not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from slim_train.interchange.keras_names import layer_name
from slim_train.interchange.layer_graph import CONSTANT, Layer, LayerGraph
from slim_train.interchange.match_layers import match_layers
from slim_train.interchange.plain_layers import plain_layers
from slim_train.interchange.read_layers import read_layers

_FILE = "layers.json"


def write_layers(folder: Path, layers: LayerGraph | str) -> None:
    """Write the layers of a file without their weights, or why they cannot be read, into a folder."""
    content = layers if isinstance(layers, str) else _as_json(plain_layers(layers))
    (folder / _FILE).write_text(json.dumps(content), encoding="utf-8")


def difference_from(folder: Path, images: Any, output: Any) -> str:
    """Return the first difference between the layers in a folder and those of a net; "" if there is none.

    Layers must have the same names too, because weights are found by them.

    Args:
      folder: of a converted checkpoint; without layers in it there is no difference.
      images: the tensor that the net takes.
      output: the tensor of its probabilities.

    Raises:
      UsageError: the net has an operation that Keras has no layer for.
    """
    try:
        theirs = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if isinstance(theirs, str):
        return theirs
    ours = json.loads(json.dumps(_as_json(plain_layers(read_layers(images, output)))))
    return match_layers(_from_json(ours), _from_json(theirs)).difference


def _as_json(graph: LayerGraph) -> dict[str, Any]:
    layers = [
        {**{field.name: getattr(layer, field.name) for field in dataclasses.fields(Layer)}, **_named(layer)}
        for layer in graph.layers.values()
    ]
    return {"layers": layers, "output": graph.output}


def _named(layer: Layer) -> dict[str, Any]:
    """Return config and weights of a layer as they are compared: with its name in Keras, without the numbers."""
    config = dict(layer.config)
    if layer.variables():
        config["name"] = layer_name(layer.kind, layer.variables())
    elif layer.weights and not layer.name.endswith(CONSTANT):
        config["name"] = layer.name
    return {"config": config, "weights": dict.fromkeys(layer.weights, "")}


def _from_json(content: dict[str, Any]) -> LayerGraph:
    layers = [
        Layer(**{**fields, "inputs": tuple(fields["inputs"]), "shape": tuple(fields["shape"])})
        for fields in content["layers"]
    ]
    return LayerGraph({layer.name: layer for layer in layers}, content["output"])
