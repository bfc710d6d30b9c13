"""Every workaround for TensorFlow, tf-slim and legacy-Keras versions: nowhere else.

Import ``slim`` and ``tf`` from here::

    from slim_train.tf_compat import slim, tf

``tf`` is ``tensorflow.compat.v1``. Nothing in TensorFlow's global behaviour changes: eager execution, resource
variables and Keras stay as they were. The repairs are in tf-slim, or are a module name that TensorFlow itself looks for
and no longer finds. Private names of TensorFlow are used in ``deployment/tf_private.py`` only.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import inspect
import os
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from slim_train.errors import RunError


@contextlib.contextmanager
def native_chatter_hidden() -> Iterator[None]:
    """Drop what C++ writes to stderr in the block, where TF_CPP_MIN_LOG_LEVEL asks for quiet: some lines ignore it.

    If the block fails, they are written after all; Ctrl-C is no failure.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") == "0":
        yield
        return
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except Exception:
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


# Since 2.17: "oneDNN custom operations are on", "Could not find cuda drivers".
with native_chatter_hidden():
    import tensorflow.compat.v1 as tf

_forced_mode: contextvars.ContextVar[tuple[Any] | None] = contextvars.ContextVar("batch_norm_mode", default=None)
_no_dropout: contextvars.ContextVar[bool] = contextvars.ContextVar("no_dropout", default=False)
_dropout_rates: contextvars.ContextVar[dict[str, float] | None] = contextvars.ContextVar("dropout_rates", default=None)

_LEGACY_LAYERS = "tf_keras.legacy_tf_layers"
_LEGACY_LAYERS_HOME = "tf_keras.src.legacy_tf_layers"
_LEGACY_MODULES = ("base", "convolutional", "core", "normalization", "pooling")


def _alias_legacy_layers() -> None:
    """Let TensorFlow's lazy loader find the layers that tf-keras moved.

    ``tensorflow.python.layers`` loads ``tf_keras.legacy_tf_layers`` on first use; tf-keras 2.16 and later keep that
    code under ``tf_keras.src``. Without the alias ``slim.batch_norm`` fails with ModuleNotFoundError.
    """
    try:
        importlib.import_module(_LEGACY_LAYERS)
        return
    except ModuleNotFoundError:
        pass
    sys.modules[_LEGACY_LAYERS] = importlib.import_module(_LEGACY_LAYERS_HOME)
    for name in _LEGACY_MODULES:
        sys.modules[f"{_LEGACY_LAYERS}.{name}"] = importlib.import_module(f"{_LEGACY_LAYERS_HOME}.{name}")


def _constant_value(value_or_tensor_or_var: Any, dtype: Any = None) -> Any:
    """tf_slim.utils.constant_value without ``ops.Tensor``, which is gone since TensorFlow 2.17."""
    if value_or_tensor_or_var is None:
        raise ValueError("value_or_tensor_or_var cannot be None")
    if isinstance(value_or_tensor_or_var, tf.Variable):
        return None
    if isinstance(value_or_tensor_or_var, tf.Tensor):
        if dtype and value_or_tensor_or_var.dtype != dtype:
            raise ValueError(f"The tensor has type {value_or_tensor_or_var.dtype}, not {dtype}")
        return tf.get_static_value(value_or_tensor_or_var)
    return value_or_tensor_or_var


def _smart_cond(pred: Any, fn1: Any, fn2: Any, name: str | None = None) -> Any:
    """tf_slim.utils.smart_cond without ``control_flow_ops.cond``, which is gone since TensorFlow 2.17."""
    known = _constant_value(pred)
    if known is None:
        return tf.cond(pred, fn1, fn2, name=name)
    return fn1() if known else fn2()


@contextlib.contextmanager
def batch_norm_mode(mode: Any) -> Iterator[None]:
    """Set the mode of all batch norm layers that are built in the block, whatever the net says.

    Args:
      mode: ``is_training`` of the layers, or a function of a layer's inputs and its variable scope that returns it.
    """
    token = _forced_mode.set((mode,))
    try:
        yield
    finally:
        _forced_mode.reset(token)


@contextlib.contextmanager
def inference_mode() -> Iterator[None]:
    """Let all batch norm and dropout layers that are built in the block infer, whatever the net says."""
    token = _no_dropout.set(True)
    try:
        with batch_norm_mode(False):
            yield
    finally:
        _no_dropout.reset(token)


def dropout_mode(asked: Any) -> Any:
    """Return ``is_training`` of a dropout layer for which the net says ``asked``."""
    return False if _no_dropout.get() else asked


@contextlib.contextmanager
def dropouts_noted() -> Iterator[dict[str, float]]:
    """Give a dict that gets the rate of each ``slim.dropout`` that infers in the block, by the name of its output.

    Nothing else in the graph for inference shows where dropout is in training.
    """
    rates: dict[str, float] = {}
    token = _dropout_rates.set(rates)
    try:
        yield rates
    finally:
        _dropout_rates.reset(token)


@contextlib.contextmanager
def dimensions_of_version_1() -> Iterator[None]:
    """Let shapes consist of ``tf.Dimension`` in the block, as in TensorFlow 1: ``x.shape[3].value``."""
    are_numbers = isinstance(tf.TensorShape([1])[0], int)
    tf.disable_v2_tensorshape()
    try:
        yield
    finally:
        if are_numbers:
            tf.enable_v2_tensorshape()


def layer_mode(asked: Any, inputs: Any, scope: str) -> Any:
    """Return ``is_training`` of a batch norm layer.

    Args:
      asked: what the net says: a value, or a function as in :func:`batch_norm_mode`.
      inputs: of the layer.
      scope: of the layer, below the current variable scope.
    """
    (mode,) = _forced_mode.get() or (asked,)
    if not callable(mode):
        return mode
    return mode(inputs, "/".join(filter(None, (tf.get_variable_scope().name, scope))))


def _batch_norm_with_mode_by_layer(batch_norm: Any) -> Any:
    """``slim.batch_norm`` whose ``is_training`` may be a function too: of the layer's inputs and its variable scope.

    A net takes one ``is_training`` for all its layers, from the arg scope. Where only a part of a net is trained, that
    is too coarse. The mode of :func:`batch_norm_mode` goes before both.
    """
    arg_scope: Any = importlib.import_module("tf_slim.ops.arg_scope")
    key = arg_scope.arg_scope_func_key(batch_norm)

    @functools.wraps(batch_norm)
    def batch_norm_by_layer(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        given = {**arg_scope.current_arg_scope().get(key, {}), **kwargs}
        asked = given.get("is_training", True)
        mode = layer_mode(asked, inputs, given.get("scope") or "BatchNorm")
        if mode is not asked:
            kwargs["is_training"] = mode
        return batch_norm(inputs, *args, **kwargs)

    return batch_norm_by_layer


def _dropout_with_mode(dropout: Any) -> Any:
    """``slim.dropout`` that does nothing in :func:`inference_mode`."""

    @functools.wraps(dropout)
    def dropout_by_mode(*args: Any, **kwargs: Any) -> Any:
        if not _no_dropout.get():
            return dropout(*args, **kwargs)
        arguments = inspect.signature(dropout).bind_partial(*args, **kwargs).arguments
        outputs = dropout(**{**arguments, "is_training": False})
        rates, keep_prob = _dropout_rates.get(), arguments.get("keep_prob", 0.5)
        if rates is not None and isinstance(keep_prob, float | int):
            rates[outputs.name] = round(1.0 - keep_prob, 7)
        return outputs

    return dropout_by_mode


def _import_slim() -> Any:
    _alias_legacy_layers()
    slim_module = importlib.import_module("tf_slim")
    # The layers call these through the module, so replacing the attributes fixs slim.batch_norm and slim.utils alike.
    slim_utils: Any = importlib.import_module("tf_slim.layers.utils")
    slim_utils.constant_value = _constant_value
    slim_utils.smart_cond = _smart_cond
    # Nets find it in any of these, at each call.
    batch_norm = _batch_norm_with_mode_by_layer(slim_module.batch_norm)
    dropout = _dropout_with_mode(slim_module.dropout)
    for name in ("tf_slim", "tf_slim.layers", "tf_slim.layers.layers"):
        module: Any = importlib.import_module(name)
        module.batch_norm = batch_norm
        module.dropout = dropout
    return slim_module


def legacy_layer(name: str) -> Any:
    """Return ``tf.layers.<name>``, which with Keras 3 is not there any more.

    Raises:
      AttributeError: TensorFlow 1 had no such layer.
    """
    for home in _LEGACY_MODULES:
        found = getattr(importlib.import_module(f"{_LEGACY_LAYERS}.{home}"), name, None)
        if found is not None:
            return found
    raise AttributeError(f"tf.layers.{name} is not available")


@functools.cache
def keras_3() -> Any:
    """Return the package ``keras`` on TensorFlow, whatever the environment prefers. It takes a second to import.

    Raises:
      RunError: this process uses it on another backend already, or has turned eager execution off.
    """
    if "keras" not in sys.modules:
        before = os.environ.get("KERAS_BACKEND")
        os.environ["KERAS_BACKEND"] = "tensorflow"
        try:
            keras = importlib.import_module("keras")
        finally:
            if before is None:
                del os.environ["KERAS_BACKEND"]
            else:
                os.environ["KERAS_BACKEND"] = before
    else:
        keras = importlib.import_module("keras")
    if keras.backend.backend() != "tensorflow":
        raise RunError(f"Keras runs on {keras.backend.backend()} in this process, and must run on TensorFlow.")
    if not tf.executing_eagerly_outside_functions():
        raise RunError("Keras 3 cannot run in this process: eager execution is turned off.")
    return keras


def silence_deprecation_noise() -> None:
    """Drop the deprecation warnings that graph-mode layers print at every call. For commands, not on import."""
    warnings.filterwarnings("ignore", message=r".*`(layer\.apply|tf\.layers\.\w+|layer\.updates)` .*")
    tf.logging.set_verbosity(tf.logging.ERROR)


@functools.cache
def _compared_by_identity(kind: Any) -> Any:
    """Return the class ``kind`` of variables with Python's own ``==`` and ``hash``."""
    own = {"__slots__": (), "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    own |= {name: getattr(object, name) for name in ("__eq__", "__ne__", "__hash__")}
    return types.new_class(kind.__name__, (kind,), exec_body=lambda namespace: namespace.update(own))


def _create_variable(next_creator: Callable[..., Any], **kwargs: Any) -> Any:
    variable = next_creator(**kwargs)
    if not tf.executing_eagerly_outside_functions():
        with contextlib.suppress(TypeError):  # a class that cannot be exchanged: slower, and nothing else
            kind: Any = type(variable)
            variable.__class__ = _compared_by_identity(kind)
    return variable


def quick_building() -> contextlib.AbstractContextManager[None]:
    """Let layers that are built in the block find each other's variables quickly: large nets take half of the time.

    For each weight a legacy layer puts all variables of the graph into a set and looks the new one up in a list. In a
    plain graph variables are equal if they are the same, but before it says so TensorFlow searches the stack of graphs,
    each time. Variables that are made in the block do not search. Nothing else in the process changes.
    """
    return tf.variable_creator_scope(_create_variable)


slim = _import_slim()

__all__ = [
    "batch_norm_mode",
    "dimensions_of_version_1",
    "dropout_mode",
    "dropouts_noted",
    "inference_mode",
    "keras_3",
    "layer_mode",
    "legacy_layer",
    "native_chatter_hidden",
    "quick_building",
    "silence_deprecation_noise",
    "slim",
    "tf",
]
