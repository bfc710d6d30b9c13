"""Nets that flags name, cut at their end points."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slim_train.bulk.frozen_net import FEATURES, EndPoint, FeatureNet
from slim_train.bulk.graph_net import open_graph
from slim_train.bulk.options import FeatureNetOptions
from slim_train.bulk.parquet import COLUMNS
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.errors import UsageError, unknown
from slim_train.inference.trained_model import training_folder_of
from slim_train.retraining.modules import OpenNet, open_net, resolve_precision
from slim_train.retraining.options import ModuleOptions
from slim_train.tf_compat import tf
from slim_train.training_options import UserCodeOptions
from slim_train.zoo.identify import identify


def load_feature_net(options: FeatureNetOptions, code: UserCodeOptions) -> FeatureNet:
    """Return the net that the flags name, cut at ``--end_points``.

    Raises:
      UsageError: there is no such net, checkpoint or end point.
      RunError: a module cannot be downloaded.
    """
    precision = resolve_precision(ModuleOptions(precision=options.precision))
    with _open(options, code) as (net, flags):
        found = _end_points(net)
        names = _names(options.end_points, found, net.session.graph)
        points, outputs = [], []
        for number, name in enumerate(names):
            length = _length(name, found[name], options.pooling)
            with net.session.graph.as_default():
                pooled = _pooled(found[name], options.pooling, length, f"end_point_{number}")
            points.append(EndPoint(name, tuple(found[name].shape.as_list()[1:]), length))
            outputs.append(pooled.name)
        graph_def = net.freeze(*(output.partition(":")[0] for output in outputs))
        return FeatureNet(
            name=net.name,
            identity=net.identity(),
            preprocessing=net.preprocessing,
            height=net.height,
            width=net.width,
            pooling=options.pooling,
            precision=precision,
            end_points=tuple(points),
            input=net.input,
            outputs=tuple(outputs),
            graph_def=graph_def.SerializeToString(),
            flags=flags,
            scaled_decoding=options.scaled_decoding != "never",
        )


def _flags(options: ModuleOptions) -> dict[str, Any]:
    """Return the flags of retrain that name the net, paths absolute."""
    if options.model_name is None:
        folder = options.tfhub_module
        return {
            "tfhub_module": folder if "://" in folder else str(Path(folder).absolute()),
            "image_size": options.image_size,
            "average_flip": options.average_flip,
        }
    return {
        "model_name": options.model_name,
        "checkpoint_path": str(Path(options.checkpoint_path or "").absolute()),
        "preprocessing_name": options.preprocessing_name,
        "image_size": options.image_size,
        "average_flip": options.average_flip,
    }


def list_end_points(options: FeatureNetOptions, code: UserCodeOptions) -> list[tuple[str, tuple[int | None, ...]]]:
    """Return the end points of a net with their shapes, without the batch, in the order of the net.

    Raises:
      UsageError: there is no such net or checkpoint.
      RunError: a module cannot be downloaded.
    """
    with _open(options, code) as (net, _):
        return [(name, tuple(tensor.shape.as_list()[1:])) for name, tensor in _end_points(net).items()]


@contextlib.contextmanager
def _open(options: FeatureNetOptions, code: UserCodeOptions) -> Iterator[tuple[OpenNet, dict[str, Any]]]:
    """Open the net; yields it and the flags that name it."""
    if options.is_graph:
        name = "graph" if options.graph else "saved_model_dir"
        with open_graph(options) as net:
            net = dataclasses.replace(net, averages_flip=options.average_flip)
            yield net, {name: str(Path(getattr(options, name)).absolute())}
        return
    module_options = _module_options(options, code)
    with open_net(module_options, code) as net:
        yield net, _flags(module_options)


def _module_options(options: FeatureNetOptions, code: UserCodeOptions) -> ModuleOptions:
    if options.tfhub_module:
        return ModuleOptions(
            tfhub_module=options.tfhub_module,
            image_size=options.image_size,
            average_flip=options.average_flip,
            precision=options.precision,
        )
    model_name, recipe = options.model_name, options.preprocessing_name
    if not model_name:
        checkpoint = resolve_checkpoint(options.checkpoint_path or "")
        folder = training_folder_of(checkpoint)
        trained = training_folder.read_options(folder)
        if trained and (folder / training_folder.CONFIG).is_file():
            model_name, size = trained.model.model_name, trained.model.train_image_size
        else:
            match = identify(checkpoint)
            model_name, size = match.record.name, match.image_size
            recipe = recipe or (None if code.preprocessing_file else match.preprocessing)
        options = dataclasses.replace(options, image_size=options.image_size or size)
    return ModuleOptions(
        model_name=model_name,
        checkpoint_path=options.checkpoint_path,
        preprocessing_name=recipe,
        image_size=options.image_size,
        average_flip=options.average_flip,
        precision=options.precision,
    )


def _end_points(net: OpenNet) -> dict[str, Any]:
    """Return the tensors of floats that have a vector or a map of each image."""
    points = {FEATURES: net.output, **net.end_points}
    return {name: tensor for name, tensor in points.items() if _is_end_point(tensor)}


def _is_end_point(tensor: Any) -> bool:
    return isinstance(tensor, tf.Tensor) and tensor.dtype.is_floating and tensor.shape.rank in (2, 4)


def _names(asked: str | None, found: dict[str, Any], graph: Any) -> list[str]:
    """Return the end points asked for; tensors that the net has no name for are added to ``found``."""
    names = [name.strip() for name in (asked or FEATURES).split(",") if name.strip()] or [FEATURES]
    for name in names:
        if name not in found:
            with contextlib.suppress(KeyError, ValueError):
                tensor = graph.get_tensor_by_name(name if ":" in name else f"{name}:0")
                found |= {name: tensor} if _is_end_point(tensor) else {}
        if name not in found:
            raise unknown("end point", name, found, listed_by="--end_points=?")
        if name in COLUMNS:
            raise UsageError(f"--end_points: {name!r} is the name of a column of the output; choose another end point.")
    if len(set(names)) < len(names):
        raise UsageError(f"--end_points={asked} names an end point twice.")
    return names


def _length(name: str, tensor: Any, pooling: str) -> int:
    shape = tensor.shape.as_list()[1:]
    kept = shape[-1:] if pooling == "mean" else shape
    if None in kept:
        raise UsageError(
            f"--end_points: the shape of {name} is not known ({tensor.shape}): set --pooling=mean or --image_size."
        )
    return math.prod(kept)


def _pooled(tensor: Any, pooling: str, length: int, name: str) -> Any:
    tensor = tf.cast(tensor, tf.float32)
    if tensor.shape.rank == 4 and pooling == "mean":
        tensor = tf.reduce_mean(tensor, axis=[1, 2])
    return tf.reshape(tensor, [-1, length], name=name)
