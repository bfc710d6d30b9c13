"""Losses, optimizers and augmentations of one's own: a program registers them, an installed package offers them.

A package has entry points in the groups ``slim_train.losses``, ``slim_train.optimizers`` and
``slim_train.augmentations``. Only training needs them: not evaluation, not export. No TensorFlow.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from typing import Any, TypeVar

from slim_train import training_options
from slim_train.errors import UsageError
from slim_train.function_digest import function_digest
from slim_train.registry import BUILT_IN, Registry
from slim_train.training_options import RANDAUGMENT_PREFIX, TrainOptions
from slim_train.user_functions import origin_of, takes

log = logging.getLogger(__name__)

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def register_loss(name: str, function: FunctionT | None = None) -> Any:
    """Give a loss a name for ``--loss``; without ``function``, return a decorator that does.

    The loss is ``function(logits, labels, weights)``. ``logits`` are float32 [B, C], ``labels`` int64 [B]. ``weights``
    are float32 [B], the weights of the classes of ``labels``: 1 without ``--class_weights``. It returns float32: the
    weighted loss of each image [B], whose mean is minimized, or a scalar for the batch. mixup and CutMix call it once
    for each of the two labels of an image, and need [B]. A loss that takes ``label_smoothing``, too, gets that flag.

    Args:
      name: letters, digits, ``_``, ``-`` and ``.``.
      function: the loss, of TensorFlow operations.

    Returns:
      ``function``, or the decorator.

    Raises:
      UsageError: the name is slim-train's, or the function takes other arguments.
    """
    return loss_registry.add("register_loss", name, function)


def register_optimizer(name: str, function: FunctionT | None = None) -> Any:
    """Give an optimizer a name for ``--optimizer``; without ``function``, return a decorator that does.

    ``function(learning_rate)`` returns a new ``tf.compat.v1.train.Optimizer``; such a class works, too. The learning
    rate is a tensor that follows the schedule. Two more arguments are given to a function that has parameters of these
    names. ``options`` holds the flags of optimizers, such as ``options.momentum``. ``weight_decay`` is for optimizers
    that decay weights by themselves: weights then have no L2 penalty in the loss.

    Args:
      name: letters, digits, ``_``, ``-`` and ``.``.
      function: makes the optimizer. It is called once for each learning rate multiplier.

    Returns:
      ``function``, or the decorator.

    Raises:
      UsageError: the name is slim-train's, or the function takes other arguments.
    """
    return optimizer_registry.add("register_optimizer", name, function)


def register_augmentation(name: str, function: FunctionT | None = None) -> Any:
    """Give an augmentation a name for ``--augmentation``; without ``function``, return a decorator that does.

    The augmentation is ``function(images, seed)``. ``images`` are float32 [B, H, W, channels] in 0..255, cropped and
    resized by the preprocessing recipe, whose flips, colors and normalization follow. ``seed`` is an integer tensor [2]
    for ``tf.random.stateless_uniform`` and the like. It returns images of the same shape, type and range.

    Args:
      name: letters, digits, ``_``, ``-`` and ``.``. Names that start with ``rand-`` are RandAugment's.
      function: the augmentation, of TensorFlow operations.

    Returns:
      ``function``, or the decorator.

    Raises:
      UsageError: the name is slim-train's, or the function takes other arguments.
    """
    return augmentation_registry.add("register_augmentation", name, function)


def check_names(options: TrainOptions) -> None:
    """Check that what a training names exists. No package is imported for it.

    Files of a user that are not loaded yet may register more: with any of them, :func:`load` decides.

    Raises:
      UsageError: there is no loss, optimizer or augmentation of that name.
    """
    if options.code.model_file or options.code.model_module or options.code.preprocessing_file:
        return
    for registry, name in _named(options):
        if name not in registry:
            raise registry.unknown(name)


def load(options: TrainOptions) -> None:
    """Import what a training names, and log what is not slim-train's.

    Raises:
      UsageError: there is nothing of that name, or it cannot be imported.
    """
    for registry, name in _named(options):
        registry.get(name)
        if registry.origin(name) != BUILT_IN:
            log.info("The %s %s is from %s.", registry.kind, name, registry.origin(name))


def augmentation_digest(name: str) -> str | None:
    """Return a digest of the code of an augmentation; None for slim-train's, which have the digest of its version."""
    if name.startswith(RANDAUGMENT_PREFIX) or name in training_options.AUGMENTATIONS:
        return None
    return function_digest(augmentation_registry.get(name))


def _named(options: TrainOptions) -> list[tuple[Registry[Any], str]]:
    named = [(loss_registry, options.optimizer.loss), (optimizer_registry, options.optimizer.optimizer)]
    if options.augment.augmentation.startswith(RANDAUGMENT_PREFIX):
        return named
    return [*named, (augmentation_registry, options.augment.augmentation)]


def _checker(kind: str, call: str, optional: tuple[str, ...] = ()) -> Callable[[str, Any], None]:
    """Return a check that names are well-formed and that functions can be called as ``call`` says.

    Args:
      call: the arguments that are always given, such as ``images, seed``.
      optional: keyword arguments that a function gets if it takes them.
    """

    def check(name: str, value: Any) -> None:
        if not _NAME.fullmatch(name):
            raise UsageError(f"The {kind} {name!r} needs another name: of letters, digits, '_', '-' and '.'.")
        if kind == "augmentation" and name.startswith(RANDAUGMENT_PREFIX):
            raise UsageError(f"The augmentation {name!r} needs another name: {RANDAUGMENT_PREFIX}... is RandAugment.")
        if not callable(value):
            raise UsageError(f"The {kind} {name!r} must be a function of ({call}), not {type(value).__name__}.")
        keywords = dict.fromkeys(word for word in optional if takes(value, word))
        try:
            inspect.signature(value).bind(*call.split(", "), **keywords)
        except TypeError as error:
            raise UsageError(f"The {kind} {name!r} ({origin_of(value)}) must take ({call}): {error}.") from error
        except ValueError:  # C code has no signature
            return

    return check


def _own(*args: Any, **kwargs: Any) -> Any:
    """Stand for slim-train's own, which are in the rooms that use TensorFlow."""
    raise AssertionError("called instead of what is slim-train's own")


loss_registry: Registry[Callable[..., Any]] = Registry(
    "loss",
    "slim_train.losses",
    dict.fromkeys(training_options.LOSSES, _own),
    _checker("loss", "logits, labels, weights", ("label_smoothing",)),
)
optimizer_registry: Registry[Callable[..., Any]] = Registry(
    "optimizer",
    "slim_train.optimizers",
    dict.fromkeys(training_options.OPTIMIZERS, _own),
    _checker("optimizer", "learning_rate", ("options", "weight_decay")),
)
augmentation_registry: Registry[Callable[..., Any]] = Registry(
    "augmentation",
    "slim_train.augmentations",
    dict.fromkeys(training_options.AUGMENTATIONS, _own),
    _checker("augmentation", "images, seed"),
)
