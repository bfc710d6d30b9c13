"""Modules of research/slim that users' files import, each made of what slim-train or tf_slim has in its place."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import pkgutil
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tf_slim.nets

from slim_train.errors import UsageError
from slim_train.nets import factory
from slim_train.nets.record import NetRecord
from slim_train.preprocessing.factory import get_preprocessing, recipe_names
from slim_train.tf_compat import slim, tf

_PREPROCESSING = "_preprocessing"

# Arguments of research/slim's functions that ours have by another name, or not at all: then they must be as they are.
_OTHER_NAMES = {"depth_multiplier": "width_multiplier"}
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "scope": (None,),
    "reuse": (None, False),
    "spatial_squeeze": (True,),
    "global_pool": (True, False),
    "min_depth": (8,),
    "depth_multiplier": (1, 1.0),
    "conv_defs": (None,),
    "output_stride": (None,),
    "prediction_fn": (slim.softmax, tf.nn.softmax),
}


def module_names(package: str) -> list[str]:
    """Return the modules that :func:`module` gives for ``package``, sorted."""
    if package == "nets":
        of_tf_slim = {info.name for info in pkgutil.iter_modules(tf_slim.nets.__path__) if "_test" not in info.name}
        return sorted({*of_tf_slim, *factory.families(), "inception_utils"})
    if package == "preprocessing":
        return [f"{name}{_PREPROCESSING}" for name in recipe_names()]
    return ["dataset_utils"] if package == "datasets" else []


@functools.cache
def module(package: str, name: str) -> types.ModuleType | None:
    """Return the module ``name`` of a package of research/slim; None if there is nothing in its place."""
    if name not in module_names(package):
        return None
    if package == "preprocessing":
        recipe = name.removesuffix(_PREPROCESSING)
        return _module(f"preprocessing.{name}", preprocess_image=functools.partial(_preprocess_image, recipe))
    if package == "datasets":
        return _module("datasets.dataset_utils", **_dataset_utils())
    if name == "inception_utils":
        return _module("nets.inception_utils", inception_arg_scope=inception_arg_scope)
    if name == "resnet_utils":
        of_tf_slim = vars(importlib.import_module("tf_slim.nets.resnet_utils"))
        return _module("nets.resnet_utils", **{**of_tf_slim, "stack_blocks_dense": stack_blocks_dense})
    if importlib.util.find_spec(f"tf_slim.nets.{name}"):
        return importlib.import_module(f"tf_slim.nets.{name}")
    return _family(name)


def _module(name: str, **contents: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__dict__.update(contents)
    return made


def _family(name: str) -> types.ModuleType:
    """Return a family of slim-train's nets with the functions that research/slim's module has."""
    records = factory.families()[name]
    contents: dict[str, Any] = {}
    for record in records:
        contents[record.name] = _net_function(record)
        contents[f"{record.name}_arg_scope"] = contents[f"{name}_arg_scope"] = _arg_scope_function(record)
    return _module(f"nets.{name}", **contents)


def _net_function(record: NetRecord) -> Callable[..., Any]:
    accepted = inspect.signature(record.builder).parameters

    def net(
        inputs: Any = None, num_classes: int | None = 1000, is_training: bool = True, images: Any = None, **kwargs: Any
    ) -> Any:
        known = {}
        for key, value in kwargs.items():
            name = _OTHER_NAMES.get(key, key)
            if name in accepted:
                known[name] = value
            elif key not in _DEFAULTS or value not in _DEFAULTS[key]:
                raise UsageError(
                    f"slim-train's {record.name} has no argument {key}={value!r}. Put research/slim's file beside "
                    "yours."
                )
        with slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training):
            return record.builder(inputs if images is None else images, num_classes or 0, **known)

    net.default_image_size = record.default_image_size  # type: ignore[attr-defined]
    return net


def _arg_scope_function(record: NetRecord) -> Callable[..., Any]:
    def arg_scope(weight_decay: float = 0.00004, batch_norm_decay: float | None = None, **_: Any) -> Any:
        return record.arg_scope(weight_decay, batch_norm_decay)

    return arg_scope


def inception_arg_scope(
    weight_decay: float = 0.00004,
    use_batch_norm: bool = True,
    batch_norm_decay: float = 0.9997,
    batch_norm_epsilon: float = 0.001,
    activation_fn: Any = tf.nn.relu,
    batch_norm_updates_collections: Any = tf.GraphKeys.UPDATE_OPS,
    batch_norm_scale: bool = False,
) -> Any:
    """Return the arg scope of the Inception nets (research/slim's ``inception_utils.inception_arg_scope``)."""
    params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "updates_collections": batch_norm_updates_collections,
        "fused": None,
        "scale": batch_norm_scale,
    }
    regularizer = slim.l2_regularizer(weight_decay)
    with (
        slim.arg_scope([slim.conv2d, slim.fully_connected], weights_regularizer=regularizer),
        slim.arg_scope(
            [slim.conv2d],
            weights_initializer=slim.variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=slim.batch_norm if use_batch_norm else None,
            normalizer_params=params if use_batch_norm else {},
        ) as scope,
    ):
        return scope


@slim.add_arg_scope
def stack_blocks_dense(
    net: Any,
    blocks: Any,
    output_stride: int | None = None,
    store_non_strided_activations: bool = False,
    outputs_collections: Any = None,
) -> Any:
    """Return a net of ResNet blocks, with the arguments of research/slim, which are more than those of tf_slim.

    Raises:
      ValueError: ``store_non_strided_activations`` is set.
    """
    if store_non_strided_activations:
        raise ValueError("store_non_strided_activations is not available in slim-train")
    stack = importlib.import_module("tf_slim.nets.resnet_utils").stack_blocks_dense
    return stack(net, blocks, output_stride, outputs_collections=outputs_collections)


class HParams:
    """Named values as attributes (tf.contrib.training.HParams)."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def add_hparam(self, name: str, value: Any) -> None:
        """Add a value. Raises ValueError if there is one of that name."""
        if name in self.__dict__:
            raise ValueError(f"The hyperparameter {name!r} exists already")
        self.__dict__[name] = value

    def set_hparam(self, name: str, value: Any) -> None:
        """Replace a value. Raises KeyError if there is none of that name."""
        if name not in self.__dict__:
            raise KeyError(name)
        self.__dict__[name] = value

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or ``default``."""
        return self.__dict__.get(name, default)

    def values(self) -> dict[str, Any]:
        """Return all values by name."""
        return dict(self.__dict__)

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__


def _preprocess_image(
    recipe: str, image: Any, output_height: int, output_width: int, is_training: bool = False, **_: Any
) -> Any:
    return get_preprocessing(recipe, is_training)(image, output_height, output_width)


def _dataset_utils() -> dict[str, Any]:
    from datasets.spec import LABELS_FILE, read_labels

    def has_labels(dataset_dir: str, filename: str = LABELS_FILE) -> bool:
        return Path(dataset_dir, filename).is_file()

    def read_label_file(dataset_dir: str, filename: str = LABELS_FILE) -> dict[int, str]:
        return dict(enumerate(read_labels(Path(dataset_dir, filename))))

    return {"LABELS_FILENAME": LABELS_FILE, "has_labels": has_labels, "read_label_file": read_label_file}
