"""Comparison of two nets, layer by layer, and the weights of one for the other."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slim_train.interchange.layer_graph import Layer, LayerGraph

_ANY_ORDER = ("Add", "Multiply", "Maximum")


@dataclasses.dataclass(frozen=True)
class LayerMatch:
    """The result of :func:`match_layers`.

    Attributes:
      pairs: for each layer of the first net with weights, the layer of the second one; empty if the nets differ.
      difference: the first thing that differs, in words; "" if nothing does.
    """

    pairs: tuple[tuple[Layer, Layer], ...]
    difference: str = ""


def match_layers(ours: LayerGraph, theirs: LayerGraph) -> LayerMatch:
    """Compare two nets that are written by ``plain_layers``. Names do not matter."""
    marks = {id(graph): _marks(graph) for graph in (ours, theirs)}
    here, there = marks[id(ours)], marks[id(theirs)]
    if here[ours.output] != there[theirs.output]:
        return LayerMatch((), _difference(ours, theirs, here, there))
    pairs: dict[str, str] = {}
    pending = [(ours.output, theirs.output)]
    while pending:
        name, other = pending.pop()
        if name in pairs:
            if pairs[name] != other:
                return LayerMatch((), f"{name} is used where {pairs[name]} is, and where {other} is")
            continue
        pairs[name] = other
        layer, match = ours.layers[name], theirs.layers[other]
        pending += _paired(layer, match, here, there, pairs)
    found = [(ours.layers[name], theirs.layers[other]) for name, other in pairs.items()]
    for layer, match in found:
        if "gamma" in match.weights and "gamma" not in layer.weights:
            return LayerMatch((), _in_words(layer, match))
    return LayerMatch(tuple((layer, match) for layer, match in found if layer.weights))


def matched_values(match: LayerMatch, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Return the values of the variables of the first net, from the arrays that the second one holds.

    Args:
      match: of nets that are the same.
      shapes: of the variables. A dense layer and a convolution hold the same numbers in other shapes.
    """
    values = {}
    for layer, other in match.pairs:
        for role, variable in layer.variables().items():
            weight = other.weights.get(role, 1.0)  # batch norm without gamma does not scale
            assert not isinstance(weight, str)
            array = np.asarray(weight, np.float32)
            shape = shapes[variable]
            values[variable] = array.reshape(shape) if array.ndim else np.full(shape, array)
    return values


def _facts(layer: Layer) -> str:
    """Return everything that decides what a layer computes, its weights and inputs aside."""
    roles = sorted(set(layer.weights) - {"gamma"})
    return repr((layer.kind, sorted(layer.config.items()), roles, layer.shape))


def _marks(graph: LayerGraph) -> dict[str, str]:
    """Return what is the same for two layers only if all that leads to them is."""
    marks: dict[str, str] = {}
    for layer in graph.layers.values():
        before = [marks[source] for source in layer.inputs]
        before = sorted(before) if layer.kind in _ANY_ORDER else before
        marks[layer.name] = hashlib.sha256("\n".join([_facts(layer), *before]).encode()).hexdigest()
    return marks


def _paired(
    layer: Layer, match: Layer, here: Mapping[str, str], there: Mapping[str, str], pairs: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Pair the inputs of two layers; of a sum by what they are, if not by what is paired already."""
    if layer.kind not in _ANY_ORDER:
        return list(zip(layer.inputs, match.inputs, strict=True))
    orders = [
        list(zip(layer.inputs, order, strict=True))
        for order in itertools.permutations(match.inputs)
        if all(here[name] == there[other] for name, other in zip(layer.inputs, order, strict=True))
    ]
    return next((order for order in orders if all(pairs.get(name, other) == other for name, other in order)), orders[0])


def _difference(ours: LayerGraph, theirs: LayerGraph, here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Return what differs first on the way from the images."""
    layers = _first_without_match(ours, here, set(there.values()))
    matches = _first_without_match(theirs, there, set(here.values()))
    if not layers or not matches:
        more, graph = ("net", ours) if layers else ("file", theirs)
        name = (layers or matches or [graph.layers[graph.output]])[0].name
        return f"the {more} has more layers, the first is {name}"

    def likeness(pair: tuple[Layer, Layer]) -> tuple[bool, bool, bool]:
        layer, match = pair
        before = [here[name] for name in layer.inputs] == [there[name] for name in match.inputs]
        return before, layer.kind == match.kind, layer.shape == match.shape

    return _in_words(*max(itertools.product(layers, matches), key=likeness))


def _first_without_match(graph: LayerGraph, marks: Mapping[str, str], others: set[str]) -> list[Layer]:
    """Return the layers that the other net does not have, although it has all that leads to them."""
    return [
        layer
        for layer in graph.layers.values()
        if marks[layer.name] not in others and all(marks[name] in others for name in layer.inputs)
    ]


def _in_words(layer: Layer, match: Layer) -> str:
    names = f"{match.name} of the file and {layer.name} of the net"
    if layer.kind != match.kind:
        return f"{names} differ in kind: {match.kind} and {layer.kind}"
    config: list[tuple[str, Any, Any]] = [
        (key, match.config.get(key), layer.config.get(key)) for key in {**match.config, **layer.config}
    ]
    config.append(("weights", sorted(match.weights), sorted(layer.weights)))
    config.append(("output", match.shape, layer.shape))
    differences = [f"{key} {theirs} and {ours}" for key, theirs, ours in config if theirs != ours]
    return f"{names} differ: {'; '.join(differences)}" if differences else f"{names} have different inputs"
