"""A ``.keras`` file as a checkpoint: one that export has written, trained on in Keras or not."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slim_train.errors import RunError, UsageError
from slim_train.interchange.converted import Converted, Facts, converted_checkpoint
from slim_train.interchange.keras_applications import convert_application, is_application
from slim_train.interchange.keras_archive import StoredLayer, StoredModel, read_keras
from slim_train.interchange.keras_layers import keras_layers
from slim_train.interchange.keras_model import INPUT
from slim_train.interchange.keras_names import ROLES, variable_names
from slim_train.interchange.layer_graph import CONSTANT, LayerGraph

ENDINGS = (".keras",)


def checkpoint_of_keras(path: Path) -> str:
    """Return the prefix of the checkpoint that a Keras file becomes, in the user's cache.

    The net and its class names are those of the file that export writes beside it, if it is there.

    Raises:
      UsageError: the file is damaged, or of a model that does not come from slim-train.
    """
    about = path.with_suffix(".json")
    return converted_checkpoint(path, [about], lambda here: convert_keras(here, about))


def convert_keras(path: Path, about: Path) -> Converted:
    """Return the variables in a Keras file, by their names in TF-Slim, and what is known about their input.

    Args:
      path: the file.
      about: the JSON file that export writes beside it, if there is one.

    Raises:
      UsageError: as for :func:`checkpoint_of_keras`.
    """
    model = read_keras(path)
    try:
        return _converted(path, model, about)
    except (UsageError, RunError):
        raise
    except Exception as error:  # The layers of a foreign file may hold anything.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{path} holds layers that cannot be read ({type(error).__name__}: {reason}).") from error


def _converted(path: Path, model: StoredModel, about: Path) -> Converted:
    images = model.input_layer()
    if (images is None or images.name != INPUT) and is_application(model):
        return convert_application(path, model)
    if images is None or images.name != INPUT:
        raise UsageError(
            f"{path} is neither a model that export_inference_graph --formats=keras has written nor one of "
            f"keras.applications with its name: it is called {model.name}, and its input is "
            f"{images.name if images else 'not one layer'}, not {INPUT}."
        )
    values: dict[str, NDArray[np.float32]] = {}
    for layer in model.layers:
        values.update(_variables(path, layer))
    if not values:
        raise UsageError(f"{path} holds no weights.")
    num_classes = next(reversed(values.values())).shape[-1:]
    facts = _with_export(_facts(path, model, images), about, num_classes)
    return Converted(values, facts, _layers(model))


def _layers(model: StoredModel) -> LayerGraph | str:
    """Return the layers of a model, or what it has that no net has; training takes the weights of the others."""
    try:
        return keras_layers(model)
    except UsageError as error:
        return str(error)
    except Exception as error:  # As above.
        return f"its layers cannot be read ({type(error).__name__}: {error})"


def _variables(path: Path, layer: StoredLayer) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield name and value of the variables of a layer."""
    if layer.kind not in ROLES or layer.name.endswith(CONSTANT):
        return
    roles = tuple(role for role in ROLES[layer.kind] if layer.has(role))
    if len(layer.weights) != len(roles):
        raise UsageError(f"{path} is damaged: {layer.name} has {len(layer.weights)} weights, not {len(roles)}.")
    names = variable_names(layer.kind, layer.name, roles)
    yield from ((names[role], value) for role, value in zip(roles, layer.weights, strict=True))


def _facts(path: Path, model: StoredModel, images: StoredLayer) -> Facts:
    try:
        height, width, channels = (int(side) for side in images.config["batch_shape"][1:])
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path} takes no images of a fixed size.") from None
    first = [layer for layer in model.layers if layer.inputs == (images.name,)]
    return Facts(
        image_size=height if height == width else None,
        channels=channels,
        preprocessing=_recipe(first[0].kind, first[0].config) if len(first) == 1 else None,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _with_export(facts: Facts, path: Path, num_classes: tuple[int, ...]) -> Facts:
    """Return ``facts`` with what export said of the net in a JSON file; without its labels if it has other classes."""
    about = _read_json(path)
    labels = about.get("labels") or ()
    temperature, scaled = about.get("temperature"), about.get("scaled_decoding")
    if temperature is not None and not (isinstance(temperature, int | float) and 0 < temperature < math.inf):
        raise UsageError(f"{path}: the temperature {temperature!r} must be a number above 0.")
    has_labels = isinstance(labels, list) and (len(labels),) == num_classes
    return dataclasses.replace(
        facts,
        model_name=about.get("model_name"),
        preprocessing=facts.preprocessing or about.get("preprocessing"),
        labels=tuple(map(str, labels)) if has_labels else None,
        scaled_decoding=scaled if isinstance(scaled, bool) else None,
        temperature=temperature,
    )


def _recipe(kind: str, config: Mapping[str, Any]) -> str | None:
    """Return the recipe that a layer at the beginning of a model is; None if there is none like it."""
    if kind == "LayerNormalization":
        return "cifarnet"
    if kind == "Normalization":
        means = {"imagenet": (123.675, 116.28, 103.53), "vgg": (123.68, 116.779, 103.939)}
        return next((name for name, numbers in means.items() if _is_near(config.get("mean"), numbers)), None)
    scaling = (config.get("scale"), config.get("offset")) if kind == "Rescaling" else ()
    known = {"inception": (2 / 255, -1.0), "lenet": (1 / 128, -1.0), "vgg": (1.0, -117.38)}
    return next((name for name, numbers in known.items() if _is_near(scaling, numbers)), None)


def _is_near(found: Any, wanted: tuple[float, ...]) -> bool:
    numbers = found if isinstance(found, list | tuple) else ()
    is_flat = all(isinstance(number, int | float) for number in numbers)
    return is_flat and len(numbers) == len(wanted) and bool(np.allclose(numbers, wanted, rtol=1e-5))
