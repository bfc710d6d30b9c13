"""Keras files as data: the layers of a model and their weights, without Keras, which would run what a file says."""

from __future__ import annotations

import collections
import dataclasses
import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from slim_train.errors import UsageError

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MAX_BYTES = {_CONFIG: 64 << 20, _WEIGHTS: 4 << 30}
# What is small may be packed well; what is large and packed better than this is made to fill the memory.
_SMALL, _MOST_EXPANSION = 1 << 20, 100
_MOST_NESTED = 8
_MODELS = ("Functional", "Sequential", "Model")


@dataclasses.dataclass(frozen=True)
class StoredLayer:
    """A layer or operation of a Keras model.

    Attributes:
      kind: name of its class.
      name: its name.
      config: of the layer, as Keras writes it.
      inputs: names of what comes before it, in order; empty for inputs and in sequential models.
      weights: in the order of Keras.
      numbers: the numbers that it takes beside tensors.
      num_calls: how often it is used.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    weights: tuple[NDArray[np.float32], ...]
    numbers: tuple[float, ...] = ()
    num_calls: int = 1

    def has(self, role: str) -> bool:
        """Return whether the layer has a weight: kernel, bias, gamma, beta, moving_mean or moving_variance."""
        switch = {"bias": "use_bias", "gamma": "scale", "beta": "center"}.get(role)
        return switch is None or bool(self.config.get(switch, True))


@dataclasses.dataclass(frozen=True)
class StoredModel:
    """A Keras model.

    Attributes:
      name: of the model.
      layers: those of models inside it too, in the order of the file.
    """

    name: str
    layers: tuple[StoredLayer, ...]

    def input_layer(self) -> StoredLayer | None:
        """Return the layer that takes the images; None if there is none, or more than one."""
        found = [layer for layer in self.layers if layer.kind == "InputLayer"]
        return found[0] if len(found) == 1 else None


def read_keras(path: Path) -> StoredModel:
    """Return the model in a ``.keras`` file.

    Raises:
      UsageError: the file is damaged, or not of a functional or sequential model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            model = json.loads(_member(archive, _CONFIG))
            weights = _member(archive, _WEIGHTS)
        with h5py.File(io.BytesIO(weights), "r") as file:
            layers = tuple(_layers(model, _Weights(file, len(weights)), ()))
        return StoredModel(str(model["config"]["name"]), layers)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise
    except Exception as error:  # Damaged files make zipfile, zlib, json and h5py raise errors of many classes.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{path} is not a Keras 3 model that can be read ({reason}).") from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise UsageError(f"it holds no {name}, so it is not a Keras 3 model.") from None
    if info.file_size > _MAX_BYTES[name] or info.file_size > max(_SMALL, _MOST_EXPANSION * info.compress_size):
        raise UsageError(f"{name} in it would take {info.file_size:,} bytes, which is not plausible.")
    return archive.read(info)


def _layers(model: Mapping[str, Any], stored: _Weights, above: tuple[str, ...]) -> Iterator[StoredLayer]:
    """Yield the layers of a model and of the models in it."""
    if model["class_name"] not in _MODELS or "layers" not in model["config"]:
        raise UsageError(f"it is a {model['class_name']}; only functional and sequential models can be read.")
    if len(above) > _MOST_NESTED:
        raise UsageError(f"it nests models more than {_MOST_NESTED} deep.")
    used: collections.Counter[str] = collections.Counter()
    for entry in model["config"]["layers"]:
        kind, config = str(entry["class_name"]), entry["config"]
        group = _snake_case(kind)
        is_layer = not str(entry.get("module") or "").startswith("keras.src.ops") and kind != "InputLayer"
        number = used[group]
        used[group] += is_layer
        place = (*above, "layers", f"{group}_{number}" if number else group)
        if kind in _MODELS:
            yield from _layers(entry, stored, place)
        else:
            weights = tuple(stored.read(place)) if is_layer else ()
            name = str(config.get("name") or entry.get("name"))
            arguments = tuple(_arguments(entry))
            inputs = tuple(value for value in arguments if isinstance(value, str))
            numbers = tuple(value for value in arguments if not isinstance(value, str))
            yield StoredLayer(kind, name, config, inputs, weights, numbers, len(entry.get("inbound_nodes") or [0]))


def _snake_case(kind: str) -> str:
    """Return the name of a class as Keras writes it in files of weights."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _arguments(entry: Mapping[str, Any]) -> Iterator[str | float]:
    """Yield what a layer takes in its first call: names of layers, and numbers."""
    nodes = entry.get("inbound_nodes") or []
    pending: list[Any] = [nodes[0].get("args", [])] if nodes and isinstance(nodes[0], dict) else []
    while pending:
        value = pending.pop(0)
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            yield str(value["config"]["keras_history"][0])
        elif isinstance(value, int | float):
            yield float(value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            pending[:0] = value


class _Weights:
    """A file of weights, of which no more is read than it has bytes, however often it names them."""

    def __init__(self, file: Any, num_bytes: int) -> None:
        self._file, self._left = file, num_bytes

    def read(self, place: tuple[str, ...]) -> Iterator[NDArray[np.float32]]:
        """Yield the weights of a layer. Links to other places, and data in other files, are not followed."""
        group = self._file
        for part in (*place, "vars"):
            if group.get(part, getlink=True) is None:
                return
            group = _child(group, part, h5py.Group)
        for index in range(len(group)):
            dataset = _child(group, str(index), h5py.Dataset)
            if dataset.dtype.kind not in "fiuV":
                raise UsageError(f"the weights of {'/'.join(place)} are not numbers.")
            self._left -= math.prod(dataset.shape) * dataset.dtype.itemsize
            is_filtered = dataset.id.get_create_plist().get_nfilters() > 0  # Keras compresses none.
            if dataset.external or dataset.is_virtual or is_filtered or self._left < 0:
                raise UsageError(f"the weights of {'/'.join(place)} are not in the file.")
            yield _numbers(dataset)


def _numbers(dataset: Any) -> NDArray[np.float32]:
    values = dataset[()]
    if dataset.attrs.get("dtype") == "bfloat16":
        values = (np.frombuffer(values.tobytes(), np.uint16).astype(np.uint32) << 16).view(np.float32)
        return values.reshape(dataset.shape)
    return np.asarray(values, np.float32)


def _child(group: Any, name: str, kind: type) -> Any:
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink) or not isinstance(group[name], kind):
        raise UsageError(f"{group.name}/{name} in it is not what Keras writes.")
    return group[name]
