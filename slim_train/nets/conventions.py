"""Nets in research/slim's convention, ``net(images, num_classes, is_training) -> (logits, end_points)``, as records.

Names of arguments differ between authors, and so does their order; results come as logits alone, or as [B, 1, 1, C].
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from slim_train.errors import UsageError, nearest, unknown
from slim_train.function_digest import function_digest
from slim_train.nets.blocks.modes import is_training
from slim_train.nets.record import ArgScope, NetRecord, weight_decay_alone
from slim_train.tf_compat import slim, tf
from slim_train.user_functions import explain, origin_of

Function = Callable[..., Any]

# Names of arguments, the most common first.
_IMAGES = ("images", "inputs", "input", "image", "x", "input_images", "input_tensor")
_CLASSES = ("num_classes", "n_classes", "nb_classes", "classes", "num_class", "class_num", "num_labels", "num_outputs")
_TRAINING = ("is_training", "training", "is_train", "train", "phase_train", "phase")
# Other spellings of them, in lower case: numClasses, class_count; training_phase, isTrain.
_OTHER_CLASSES = re.compile(
    r"(n|nb|num|number)_?(of_?)?(class(es)?|labels?|outputs?)|(class|label)(es|s)?_?(num|number|count)"
)
_OTHER_TRAINING = re.compile(r"(is|in|for|phase)?_?train(ing)?_?(phase|mode|flag|ph|stage|state)?")
_WEIGHT_DECAY = ("weight_decay", "weights_decay", "l2_weight_decay")
_BATCH_NORM_DECAY = ("batch_norm_decay", "bn_decay")

_SCOPE_ENDINGS = ("arg_scope", "training_scope")
_SLIMS_OWN = ("arg_scope", "add_arg_scope", "has_arg_scope", "current_arg_scope")


def as_record(net: Any, name: str) -> NetRecord:
    """Return the record of a registered net: a NetRecord, or a function with the arg scope of its module."""
    if isinstance(net, NetRecord):
        record, code = dataclasses.replace(net, name=name), net.builder
    else:
        module = vars(sys.modules[net.__module__]) if net.__module__ in sys.modules else {}
        record, code = record_of_function(net, name, find_arg_scope(module, name)), net
    return record if record.digest else dataclasses.replace(record, digest=function_digest(code))


def record_of_function(
    function: Function,
    name: str,
    arg_scope: Function | None = None,
    arguments: Mapping[str, str] | None = None,
    image_size: int | None = None,
    channels: int | None = None,
) -> NetRecord:
    """Return the record of a function in research/slim's convention, without a digest of its code.

    Args:
      function: takes images, the number of classes and ``is_training`` in any order, under any of their common names.
        Its attribute ``default_image_size`` is the image size.
      name: of the net.
      arg_scope: function that returns the net's arg scope; None for an L2 penalty on the weights of slim's layers.
      arguments: text of further arguments by name. It is read as YAML, unless the default is text.
      image_size: height and width in pixels for a function that has no ``default_image_size``. Default: 224.
      channels: color channels of the images. Default: 3.

    Raises:
      UsageError: the function has no argument for the number of classes, or lacks or does not have one of
        ``arguments``.
    """
    call = _Call(function, name, arguments or {})
    return NetRecord(
        name=name,
        builder=call,
        arg_scope=_as_arg_scope(arg_scope, name) if arg_scope else weight_decay_alone,
        default_image_size=_image_size(function, name) or image_size or 224,
        channels=channels or 3,
    )


def _image_size(function: Function, name: str) -> int | None:
    """Return ``default_image_size``; of (height, width) that are equal, one of them."""
    size = getattr(function, "default_image_size", None)
    sides = set(size) if isinstance(size, tuple | list) else {size}
    if len(sides) != 1 or not all(side is None or (isinstance(side, int) and side > 0) for side in sides):
        raise UsageError(f"{name}.default_image_size must be height and width of square images, not {size!r}.")
    return sides.pop()


def find_arg_scope(module: Mapping[str, Any], name: str, wanted: str | None = None) -> Function | None:
    """Return the arg-scope function of a net, as research/slim's nets_factory pairs them, or None if there is none.

    ``resnet_v1_50`` has ``resnet_v1_50_arg_scope``, else ``resnet_arg_scope``; of several that fit, the longest name. A
    single function of another name, such as ``training_scope``, is taken too.

    Args:
      module: names and objects of the net's module.
      name: of the net.
      wanted: name of the function (``--arg_scope``); ``none`` for no arg scope.

    Raises:
      UsageError: there is no ``wanted``, or several functions and none that fits.
    """
    found = {
        key: value
        for key, value in module.items()
        if key.endswith(_SCOPE_ENDINGS) and key not in _SLIMS_OWN and _is_users(value) and _can_be_called(value)
    }
    if wanted == "none":
        return None
    if wanted:
        if not callable(module.get(wanted)):
            raise unknown("--arg_scope", wanted, found)
        return module[wanted]
    fitting = [key for key in found if name.startswith(key.removesuffix("_arg_scope"))]
    if fitting:
        return found[max(fitting, key=len)]
    if len({id(value) for value in found.values()}) > 1:
        raise UsageError(
            f"Which arg scope goes with the net {name} is not clear: name it with --arg_scope, one of "
            f"{', '.join(sorted(found))}, or none."
        )
    return next(iter(found.values()), None)


def nets_in(module: Mapping[str, Any]) -> list[str]:
    """Return the names of functions and records of a module that may be nets, for errors."""
    return sorted(
        key
        for key, value in module.items()
        if not key.startswith("_")
        and not key.endswith((*_SCOPE_ENDINGS, "_base"))
        and (isinstance(value, NetRecord) or (_is_function(value) and _takes_images(value)))
    )


def _is_users(value: Any) -> bool:
    return callable(value) and not inspect.isclass(value) and not str(value.__module__).startswith("tf_slim.ops")


def _can_be_called(arg_scope: Function) -> bool:
    """Return whether slim-train has all arguments that an arg-scope function requires; a helper requires others."""
    known = (*_WEIGHT_DECAY, *_BATCH_NORM_DECAY)
    return all(
        parameter.default is not parameter.empty
        or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        or key in known
        or _is_one_of(key, _TRAINING, _OTHER_TRAINING)
        for key, parameter in inspect.signature(arg_scope).parameters.items()
    )


def _is_function(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, functools.partial)


def _takes_images(function: Function) -> bool:
    parameters = inspect.signature(function).parameters
    return any(key in _IMAGES or _is_one_of(key, _CLASSES, _OTHER_CLASSES) for key in parameters)


def _is_one_of(key: str, names: tuple[str, ...], others: re.Pattern[str]) -> bool:
    return key in names or others.fullmatch(key.lower()) is not None


def _find_name(parameters: Iterable[str], names: tuple[str, ...], others: re.Pattern[str] | None = None) -> str | None:
    """Return the parameter that has the first of the names that there are, else another spelling of them."""
    known = next((name for name in names if name in parameters), None)
    if known is None and others is not None:
        known = next((key for key in parameters if others.fullmatch(key.lower())), None)
    return known


class _Call:
    """A builder: calls a function with the arguments that it has, and returns logits [B, C] and end points."""

    def __init__(self, function: Function, name: str, arguments: Mapping[str, str]) -> None:
        self._function, self._name = function, name
        self.__code__ = getattr(inspect.unwrap(function), "__code__", None)
        self._where = f"{origin_of(function)}, line {self.__code__.co_firstlineno}" if self.__code__ else "unknown"
        self._parameters = inspect.signature(function).parameters
        self._takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in self._parameters.values())
        self._classes = _find_name(self._parameters, _CLASSES, _OTHER_CLASSES)
        self._training = _find_name(self._parameters, _TRAINING, _OTHER_TRAINING)
        self._images = _find_name(self._parameters, _IMAGES) or self._first_other()
        if self._takes_any:
            self._classes, self._training = self._classes or "num_classes", self._training or "is_training"
        self._arguments = self._read(arguments)
        self._check()

    def __call__(self, images: Any, num_classes: int, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Build the net."""
        arguments = {self._images: images, **self._arguments, **kwargs}
        arguments[str(self._classes)] = num_classes
        if self._training:
            arguments[self._training] = bool(is_training(slim.dropout))
        positional = [
            arguments.pop(key)
            for key, parameter in self._parameters.items()
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and key in arguments
        ]
        try:
            # Standard output is for results of commands, and nets print shapes.
            with contextlib.redirect_stdout(sys.stderr):
                result = self._function(*positional, **arguments)
        except UsageError:
            raise
        except (Exception, SystemExit) as error:
            size = "x".join(map(str, images.shape.as_list()[1:]))
            where = explain(error, Path(origin_of(self._function)).parent)
            raise UsageError(f"The net {self._name} cannot be built on images of {size}. {where}") from error
        return self._logits(result, num_classes, images.shape.as_list()[0])

    def _logits(self, result: Any, num_classes: int, batch_size: int | None) -> tuple[Any, dict[str, Any]]:
        parts = result if isinstance(result, tuple | list) else (result,)
        net = f"The net {self._name} ({self._where})"
        logits = parts[0] if parts else None
        # Others return probabilities, features or variables in the place of end points.
        end_points = parts[1] if len(parts) > 1 and isinstance(parts[1], Mapping) else {}
        if not isinstance(logits, tf.Tensor):
            returned = ", ".join(type(part).__name__ for part in parts)
            raise UsageError(f"{net} must return logits, or logits and a dict of end points. It returned {returned}.")
        if logits.shape.rank == 4 and logits.shape.as_list()[1:3] == [1, 1]:
            logits = tf.squeeze(logits, [1, 2], name="SqueezedLogits")
        of_images = f" and a batch of {batch_size}" if batch_size else ""
        is_logits = logits.shape.rank == 2 and logits.shape[-1] == num_classes
        # A net that takes the height of images for something else returns several rows for each.
        if not is_logits or not logits.shape[:1].is_compatible_with([batch_size]):
            raise UsageError(
                f"{net} must return logits of shape [batch, {num_classes}] for {num_classes} classes{of_images}. "
                f"It returned {logits.shape.as_list() if logits.shape.rank is not None else 'an unknown shape'}."
            )
        if _origin(logits).type == "Softmax":
            raise UsageError(f"{net} returns probabilities (a softmax) where logits belong: return what goes into it.")
        return logits, dict(end_points)

    def _first_other(self) -> str:
        known = {self._classes, self._training}
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        found = [key for key, parameter in self._parameters.items() if key not in known and parameter.kind in kinds]
        if not found:
            raise UsageError(f"{self._name} is not a net: it has no argument for images.")
        return found[0]

    def _read(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        taken = {self._images, self._classes, self._training}
        for key, text in arguments.items():
            if key in taken or (key not in self._parameters and not self._takes_any):
                others = [other for other in self._parameters if other not in taken]
                near = nearest(key, others, count=1)
                guess = f" Did you mean {near[0]}?" if near else ""
                raise UsageError(
                    f"--model_args: {self._name} has no argument {key!r} to set.{guess} It has "
                    f"{', '.join(others) or 'none'}."
                )
            default = self._parameters[key].default if key in self._parameters else None
            given[key] = text if isinstance(default, str) else _value(key, text, default)
        return given

    def _check(self) -> None:
        if self._classes is None:
            raise UsageError(
                f"{self._name} is not a net: it has no argument for the number of classes, such as num_classes."
            )
        known = {self._images, self._classes, self._training, *self._arguments}
        for key, parameter in self._parameters.items():
            has_value = parameter.default is not inspect.Parameter.empty or key in known
            if not has_value and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise UsageError(f"{self._name} needs the argument {key}: give --model_args={key}=VALUE.")


def _value(key: str, text: str, default: Any) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--model_args: {key}={text} cannot be read: {' '.join(str(error).split())}") from error
    return float(value) if isinstance(default, float) and isinstance(value, int) else value


def _as_arg_scope(function: Function, name: str) -> ArgScope:
    """Return a function of weight decay and batch norm decay that returns the scope of a user's function."""
    parameters = inspect.signature(function).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())

    def arg_scope(weight_decay: float, batch_norm_decay: float | None = None) -> dict[Any, Any]:
        values = {
            key: weight_decay for key in _WEIGHT_DECAY if key in parameters or (takes_any and key == "weight_decay")
        }
        if batch_norm_decay is not None:
            values |= {key: batch_norm_decay for key in _BATCH_NORM_DECAY if key in parameters}
        # The mode of layers is set around the net; a scope that asks for it cannot know it better.
        values |= {key: True for key in parameters if _is_one_of(key, _TRAINING, _OTHER_TRAINING)}
        try:
            with slim.arg_scope([]):
                scope = function(**values)
        except Exception as error:
            where = explain(error, Path(origin_of(function)).parent)
            raise UsageError(f"The arg scope of {name} cannot be made. {where}") from error
        if not isinstance(scope, Mapping):
            raise UsageError(
                f"The arg scope of {name} must be what 'with slim.arg_scope(...) as scope' gives, not "
                f"{type(scope).__name__}."
            )
        return dict(scope)

    return arg_scope


def _origin(tensor: Any) -> Any:
    op = tensor.op
    while op.type in ("Identity", "Reshape", "Squeeze") and op.inputs:
        op = op.inputs[0].op
    return op
