"""Weights of timm's models as a checkpoint of the net that computes the same."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slim_train.errors import UsageError
from slim_train.interchange.converted import Converted, Facts, converted_checkpoint
from slim_train.interchange.torch_config import FILE, TRANSFORMS, recipe_of
from slim_train.interchange.torch_files import (
    Header,
    read_config,
    read_header,
    read_state_dict,
    require_safetensors,
)
from slim_train.interchange.torch_names import TimmModel
from slim_train.interchange.torch_sources import SOURCES, TimmSource
from slim_train.interchange.torch_state import to_variables, torch_shape
from slim_train.nets.factory import get_network_fn, get_record
from slim_train.tf_compat import slim, tf

log = logging.getLogger(__name__)

ENDINGS = (".safetensors",)
PICKLES = (".pth", ".pt", ".pth.tar", "pytorch_model.bin")
# Arguments of timm.create_model that change nothing in inference, or what the shapes of the weights show.
_HARMLESS = ("bn_momentum", "drop_rate", "drop_path_rate", "in_chans", "num_classes", "aux_logits")
_PADDING, _EPSILONS = "pad_type", ("bn_eps", "norm_eps")
# Symmetric padding and TensorFlow's are the same if every strided layer gets an odd height and width.
_STRIDE = 32

Shapes = Mapping[str, tuple[int, ...]]


def checkpoint_of_safetensors(path: Path) -> str:
    """Return the prefix of the checkpoint that weights of timm become, in the user's cache.

    What model they are of is in the file, if export has written it, or in ``config.json`` beside it, as in timm's
    repositories. Otherwise the names and shapes say it, and timm's defaults are assumed.

    Raises:
      UsageError: the file is damaged, or of a model that no net of the zoo equals.
    """
    require_safetensors(f"--checkpoint_path={path}")
    about = path.with_name(FILE)
    return converted_checkpoint(path, [about], lambda here: convert_torch(here, about))


def refuse_pickle(path: Path) -> None:
    """Say how a file that PyTorch has pickled becomes one that can be read.

    Raises:
      UsageError: always.
    """
    raise UsageError(
        f"{path} is a pickle, which could run code here. Convert it where PyTorch is installed: "
        f"safetensors.torch.save_file(torch.load('{path.name}', weights_only=True), 'model.safetensors')."
    )


def convert_torch(path: Path, about: Path) -> Converted:
    """Return the variables in a file of weights, by their names in TF-Slim, and what is known about their input.

    Args:
      path: a state dict of timm, as safetensors.
      about: timm's config, if there is one, for a file that does not hold it.

    Raises:
      UsageError: as for :func:`checkpoint_of_safetensors`.
    """
    header = read_header(path)
    config = header.config or read_config(about)
    if config is None:
        source = _fitting_source(path, header)
        log.warning(
            "%s has no %s beside it: it is taken for timm's %s with timm's default arguments and preprocessing.",
            path, FILE, source.architecture,
        )  # fmt: skip
    else:
        source = _named_source(path, config)
    try:
        source = _with_arguments(path, source, config or {})
        shapes = _check(path, header.shapes, source)
        facts = _facts(path, header.shapes, source, config or {})
    except (AttributeError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path}: its config is not one of timm: {error}.") from error
    return Converted(to_variables(source.model, read_state_dict(path), shapes, source.bn_eps), facts)


def _named_source(path: Path, config: Mapping[str, Any]) -> TimmSource:
    name = str(config.get("architecture"))
    source = SOURCES.get(name)
    if source is None:
        raise UsageError(
            f"{path} holds weights of {name}, and no net of the zoo computes what that does. timm's models that have a "
            f"net: {', '.join(SOURCES)}."
        )
    return source


def _fitting_source(path: Path, header: Header) -> TimmSource:
    """Return the model whose state dict has the names and shapes in a file; the nearest if there is none."""

    def distance(source: TimmSource) -> tuple[int, bool]:
        names = {tensor.key for layer in source.model.layers for tensor in layer.tensors()}
        return len(names - set(header.shapes)), source.is_padded_symmetrically

    nearest = min(map(distance, SOURCES.values()))[0]
    if nearest:
        held = ", ".join(list(header.shapes)[:3])
        raise UsageError(
            f"{path} does not hold the weights of a model of timm that has a net in the zoo; first are {held}. timm's "
            f"models that have one: {', '.join(SOURCES)}."
        )
    found = [source for source in SOURCES.values() if distance(source)[0] == nearest]
    for source in sorted(found, key=distance):
        if not _first_difference(header.shapes, source):
            return source
    return found[0]


def _with_arguments(path: Path, source: TimmSource, config: Mapping[str, Any]) -> TimmSource:
    """Return ``source`` with the arguments in timm's config."""
    arguments = config.get("model_args") or {}
    for name, value in arguments.items():
        if name == _PADDING:
            source = dataclasses.replace(source, is_padded_symmetrically=str(value).lower() != "same")
        elif name in _EPSILONS:
            source = dataclasses.replace(source, bn_eps=float(value))
        elif name not in _HARMLESS and (name, value) != ("global_pool", "avg"):
            raise UsageError(
                f"{path} is of a model that was made with {name}={value}, which {source.model.net} does not know."
            )
    return source


def _check(path: Path, found: Shapes, source: TimmSource) -> Shapes:
    """Return the shapes of the net's variables.

    Raises:
      UsageError: names or shapes in the file are not those of the model; the message names the first.
    """
    difference = _first_difference(found, source)
    if difference:
        raise UsageError(f"{path} is not a state dict of timm's {source.architecture}: {difference}.")
    return _variable_shapes(source.model, found)


def _first_difference(found: Shapes, source: TimmSource) -> str | None:
    """Return what is missing, has another shape or is too much in a state dict; None if it is right."""
    classifier = f"{source.model.layers[-1].module}.weight"
    stem = f"{source.model.layers[0].module}.weight"
    for key, rank in ((classifier, 2), (stem, 4)):
        if len(found.get(key, ())) != rank or 0 in found[key]:
            return f"{key} is missing" if key not in found else f"{key} has shape {_text(found[key])}"
    wanted = _state_shapes(source.model, _variable_shapes(source.model, found))
    missing = [key for key in wanted if key not in found]
    if missing:
        return f"{len(missing)} of {len(wanted)} tensors are missing, first {missing[0]} {_text(wanted[missing[0]])}"
    reshaped = [key for key in wanted if found[key] != wanted[key]]
    if reshaped:
        key = reshaped[0]
        return f"{key} has shape {_text(found[key])}, not {_text(wanted[key])}"
    others = [key for key in found if key not in wanted and not key.endswith(".num_batches_tracked")]
    if others:
        return f"{len(others)} tensors are not of it, first {others[0]} {_text(found[others[0]])}"
    return None


def _text(shape: Sequence[int]) -> str:
    return str(list(shape))


def _state_shapes(model: TimmModel, variables: Shapes) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for layer in model.layers:
        for tensor in layer.tensors():
            shapes[tensor.key] = torch_shape(variables[tensor.variable], tensor.layout)
        if layer.norm:
            shapes[f"{layer.norm}.weight"] = shapes[f"{layer.norm}.bias"]
    return shapes


def _variable_shapes(model: TimmModel, found: Shapes) -> Shapes:
    """Return the shapes of the net's variables, with the classes and channels that a state dict has."""
    num_classes = found[f"{model.layers[-1].module}.weight"][0]
    return _shapes_of_net(model.net, num_classes, channels=found[f"{model.layers[0].module}.weight"][1])


@functools.lru_cache(maxsize=8)  # To build a net takes a second or more.
def _shapes_of_net(net: str, num_classes: int, channels: int) -> Shapes:
    size = get_record(net).default_image_size
    with tf.Graph().as_default():
        get_network_fn(net, num_classes)(tf.placeholder(tf.float32, [1, size, size, channels]))
        return {variable.op.name: tuple(variable.shape.as_list()) for variable in slim.get_model_variables()}


def _facts(path: Path, shapes: Shapes, source: TimmSource, config: Mapping[str, Any]) -> Facts:
    images = {**config, **(config.get("pretrained_cfg") or {})}
    names = config.get("label_names") or images.get("label_names")
    num_classes = shapes[f"{source.model.layers[-1].module}.weight"][0]
    labels = tuple(map(str, names)) if isinstance(names, list) and len(names) == num_classes else None
    return Facts(
        # Without class names, their number is found in the checkpoint, together with the net.
        model_name=source.model.net if labels else None,
        image_size=_image_size(path, source, images),
        channels=shapes[f"{source.model.layers[0].module}.weight"][1],
        preprocessing=_recipe(path, source, images),
        labels=labels,
    )


def _recipe(path: Path, source: TimmSource, images: Mapping[str, Any]) -> str:
    mean, std = images.get("mean"), images.get("std")
    if mean is None or std is None:
        return source.preprocessing
    recipe = recipe_of(mean, std)
    if recipe is None:
        raise UsageError(
            f"{path} takes images with mean {mean} and standard deviation {std}, for which there is no preprocessing: "
            f"{', '.join(TRANSFORMS)} have others."
        )
    return recipe


def _image_size(path: Path, source: TimmSource, images: Mapping[str, Any]) -> int:
    """Return the height and width at which the net answers as timm's model does, near that of the weights."""
    size = images.get("input_size")
    side = int(size[-1]) if isinstance(size, list | tuple) and size else get_record(source.model.net).default_image_size
    if not source.is_padded_symmetrically or side % _STRIDE == 1:
        return side
    odd = max(1, round(side / _STRIDE)) * _STRIDE + 1
    log.warning(
        "%s: timm's %s pads its layers on all sides, and TF-Slim's nets at the end. Both are the same at sizes one "
        "above a multiple of %d: %d is taken instead of %d.",
        path, source.architecture, _STRIDE, odd, side,
    )  # fmt: skip
    return odd
