"""The packages that files of TensorFlow 1 import: ``tensorflow`` with ``contrib``, and those of research/slim.

Nothing is put into ``sys.modules``: only the files of :class:`slim_train.user_code.files.UserFiles` see these. What
TensorFlow 1 had and nothing replaces is an error in one sentence.
"""

from __future__ import annotations

import functools
import importlib
import re
import types
from collections.abc import Callable
from typing import Any

from slim_train.tf_compat import dropout_mode, layer_mode, legacy_layer, slim, tf
from slim_train.user_code import research_slim
from slim_train.user_code.old_flags import flags_of

RESEARCH_SLIM = ("nets", "preprocessing", "datasets", "deployment")

# The homes of what contrib had. Names of contrib.layers, framework, losses and metrics are all in tf_slim.
_CONTRIB = ("slim", "layers", "framework", "losses", "metrics", "training")
_CONTRIB_HELP = f"There is no tf.contrib in TensorFlow 2; slim-train has {', '.join(_CONTRIB)} of it."

# Paths of files in contrib, and those of its modules whose names are all in tf_slim.
_INNER_FOLDERS = ("python", "ops", "layers", "framework")
_INNER_MODULES = ("initializers", "regularizers", "variables")

# What changes TensorFlow for the whole process, slim-train included, which makes graphs of its own anyway.
_OF_THE_PROCESS = re.compile(
    r"(dis|en)able_(v2_behavior|v2_tensorshape|eager_execution|resource_variables|control_flow_v2|tensor_equality)"
    r"|reset_default_graph"
)

FindNeighbour = Callable[[str], types.ModuleType | None]


def find(name: str, is_from: bool, neighbour: FindNeighbour, package: str = "") -> Any:
    """Return what ``import name``, or ``from name import ...``, binds in a user's file; None for Python's own answer.

    Args:
      name: dotted name of a module.
      is_from: whether names are taken from the module. Without them the first part of its name is bound.
      neighbour: the module of a dotted name beside the user's file, or None.
      package: of the user's files, which have flags of their own.

    Raises:
      ImportError: TensorFlow 1 or research/slim had the module, and slim-train has nothing in its place.
    """
    first, *rest = name.split(".")
    if first == "tensorflow":
        return _tensorflow(tensorflow1(package), rest, is_from)
    if name == "absl" or (first == "absl" and rest[0] == "flags"):
        return flags_of(package) if is_from and rest else _Module("absl", functools.partial(_of_absl, package))
    if first in RESEARCH_SLIM:
        return _research_slim(first, rest, is_from, neighbour)
    return None


def _tensorflow(version1: Any, path: list[str], is_from: bool) -> Any:
    if path[:2] == ["compat", "v1"]:
        path = path[2:]
    if not path or not is_from:
        # Of ``import tensorflow.contrib.slim as slim`` Python asks the module for contrib, and that for slim.
        _check_contrib(path)
        return version1
    if path == ["compat"]:
        return version1.compat
    if path[0] == "contrib":
        _check_contrib(path)
        found: Any = version1
        for part in path:
            found = getattr(found, part)
        return found
    return None


def _check_contrib(path: list[str]) -> None:
    if path[:1] == ["contrib"] and len(path) > 1 and path[1] not in _CONTRIB:
        raise ImportError(f"tensorflow.{'.'.join(path)} is not available. {_CONTRIB_HELP}")


class _Module(types.ModuleType):
    """A module whose names are found elsewhere."""

    def __init__(self, name: str, find_name: Callable[[str], Any]) -> None:
        super().__init__(name)
        self.__dict__["__path__"] = []
        self._find_name = find_name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = self._find_name(name)
        self.__dict__[name] = value
        return value


@functools.cache
def tensorflow1(package: str) -> Any:
    """Return TensorFlow 1's interface as a module for the files of a package: ``tf.compat.v1`` with ``contrib``."""
    module = _Module("tensorflow", _of_tensorflow)
    module.app = _Module("tensorflow.app", lambda name: getattr(tf.app, name))  # type: ignore[attr-defined]
    module.app.flags = module.flags = flags_of(package)  # type: ignore[attr-defined]
    module.layers = _Module("tensorflow.layers", _of_layers)  # type: ignore[attr-defined]
    module.contrib = _Module("tensorflow.contrib", _of_contrib)  # type: ignore[attr-defined]
    module.compat = _Module("tensorflow.compat", lambda name: getattr(tf.compat, name))  # type: ignore[attr-defined]
    module.compat.v1 = module
    return module


def _of_absl(package: str, name: str) -> Any:
    return flags_of(package) if name == "flags" else importlib.import_module(f"absl.{name}")


def _of_tensorflow(name: str) -> Any:
    if _OF_THE_PROCESS.fullmatch(name):
        return _do_nothing
    if hasattr(tf, name):
        return getattr(tf, name)
    try:
        return getattr(importlib.import_module("tensorflow"), name)
    except AttributeError:
        raise AttributeError(f"tf.{name} is not available in TensorFlow {tf.__version__}") from None


def _do_nothing(*_: Any, **__: Any) -> None:
    """Stand for a function that a file may call, and need not."""


def _of_layers(name: str) -> Any:
    own = {"batch_normalization": _batch_normalization, "dropout": _dropout}
    if name in ("BatchNormalization", "Dropout"):
        return _with_mode(name, layer_mode if name == "BatchNormalization" else _of_dropout)
    return own.get(name) or legacy_layer(name)


def _of_dropout(asked: Any, inputs: Any, scope: str) -> Any:
    return dropout_mode(asked)


@functools.cache
def _with_mode(name: str, mode_of: Callable[[Any, Any, str], Any]) -> Any:
    """Return a class of tf.layers whose objects are frozen, and infer, where slim's layers do."""
    base = legacy_layer(name)

    def call(self: Any, inputs: Any, training: Any = False) -> Any:
        return base.call(self, inputs, training=mode_of(training, inputs, self.name))

    return type(name, (base,), {"call": call})


def _batch_normalization(inputs: Any, *args: Any, **kwargs: Any) -> Any:
    """tf.layers.batch_normalization, frozen where slim's batch norm would be."""
    asked = kwargs.get("training", False)
    kwargs["training"] = layer_mode(asked, inputs, kwargs.get("name") or "batch_normalization")
    return legacy_layer("batch_normalization")(inputs, *args, **kwargs)


def _dropout(inputs: Any, rate: Any = 0.5, noise_shape: Any = None, seed: Any = None, **kwargs: Any) -> Any:
    """tf.layers.dropout, which does nothing in inference."""
    kwargs["training"] = dropout_mode(kwargs.get("training", False))
    return legacy_layer("dropout")(inputs, rate, noise_shape, seed, **kwargs)


def _of_contrib(name: str) -> Any:
    if name not in _CONTRIB:
        raise AttributeError(f"tf.contrib.{name} is not available. {_CONTRIB_HELP}")
    if name == "slim":
        return slim
    if name == "training":
        return _Module("tensorflow.contrib.training", _of_contrib_training)
    return _Module(f"tensorflow.contrib.{name}", functools.partial(_of_contrib_module, name))


def _of_contrib_training(name: str) -> Any:
    if name == "HParams":
        return research_slim.HParams
    return _of_contrib_module("training", name)


def _of_contrib_module(module: str, name: str) -> Any:
    """Return a name of contrib.layers and its siblings, or a module below them: ``python.layers.utils``."""
    if name in _INNER_FOLDERS:
        return _Module(f"tensorflow.contrib.{module}.{name}", functools.partial(_of_contrib_module, module))
    if name in _INNER_MODULES:
        return slim
    if name == "utils":
        return slim.utils
    if name in ("nest", "sort", "argsort"):
        return getattr(tf, name)
    for home in (slim, getattr(slim, module, None), slim.utils):
        if home is not None and hasattr(home, name):
            return getattr(home, name)
    raise AttributeError(f"tf.contrib.{module}.{name} is not available: TensorFlow 2 has no tf.contrib")


def _is_given(package: str, path: list[str], neighbour: FindNeighbour) -> bool:
    if not path:
        return bool(research_slim.module_names(package))
    found = neighbour(f"{package}.{path[0]}") or neighbour(path[0]) or research_slim.module(package, path[0])
    return found is not None


def _research_slim(package: str, path: list[str], is_from: bool, neighbour: FindNeighbour) -> Any:
    """Return a package or module of research/slim: that of the user, else the one in its place here."""

    def find_module(name: str) -> Any:
        # In a checkout of research/slim the file lies in nets/ itself.
        found = neighbour(f"{package}.{name}") or neighbour(name)
        if found is None:
            found = research_slim.module(package, name)
        if found is None:
            raise ImportError(
                f"{package}.{name} of research/slim is not available; put {name}.py beside your file. slim-train has "
                f"{', '.join(research_slim.module_names(package)) or 'none'}."
            )
        return found

    if package in ("datasets", "deployment") and not _is_given(package, path, neighbour):
        return None  # slim-train has packages of these names, too.
    if not path or not is_from:
        return _Module(package, find_module)
    found = find_module(path[0])
    for part in path[1:]:
        found = getattr(found, part)
    return found
