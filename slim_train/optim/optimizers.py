"""Optimizers, from options to graph-mode TensorFlow 1 objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slim_train.errors import UsageError
from slim_train.extensions import optimizer_registry
from slim_train.optim.adamw import AdamW
from slim_train.tf_compat import tf
from slim_train.training_options import OptimizerOptions
from slim_train.user_functions import takes


def build_optimizer(options: OptimizerOptions, learning_rate: Any, weight_decay: float = 0.0) -> Any:
    """Return the ``tf.train.Optimizer`` that the options name, with research/slim's parameters.

    Args:
      learning_rate: scalar, a number or a tensor.
      weight_decay: decoupled decay rate, for optimizers that decay weights: see :func:`decays_weights`.

    Raises:
      UsageError: the name is unknown, or is that of an optimizer that does not work.
    """
    o = options
    optimizers: dict[str, Callable[[], Any]] = {
        "adadelta": lambda: tf.train.AdadeltaOptimizer(learning_rate, o.adadelta_rho, o.opt_epsilon),
        "adagrad": lambda: tf.train.AdagradOptimizer(learning_rate, o.adagrad_initial_accumulator_value),
        "adam": lambda: tf.train.AdamOptimizer(learning_rate, o.adam_beta1, o.adam_beta2, o.opt_epsilon),
        "adamw": lambda: AdamW(learning_rate, weight_decay, o.adam_beta1, o.adam_beta2, o.opt_epsilon),
        "ftrl": lambda: tf.train.FtrlOptimizer(
            learning_rate,
            o.ftrl_learning_rate_power,
            o.ftrl_initial_accumulator_value,
            l1_regularization_strength=o.ftrl_l1,
            l2_regularization_strength=o.ftrl_l2,
        ),
        "momentum": lambda: tf.train.MomentumOptimizer(learning_rate, o.momentum),
        "rmsprop": lambda: tf.train.RMSPropOptimizer(learning_rate, o.rmsprop_decay, o.rmsprop_momentum, o.opt_epsilon),
        "sgd": lambda: tf.train.GradientDescentOptimizer(learning_rate),
    }
    if o.optimizer in optimizers:
        return optimizers[o.optimizer]()
    return _registered(o, learning_rate, weight_decay)


def decays_weights(name: str) -> bool:
    """Return whether an optimizer decays weights by itself, outside of the loss; the others are regularized by losses.

    Raises:
      UsageError: the name is unknown.
    """
    return name == "adamw" or takes(optimizer_registry.get(name), "weight_decay")


def _registered(options: OptimizerOptions, learning_rate: Any, weight_decay: float) -> Any:
    name = options.optimizer
    make = optimizer_registry.get(name)
    offered = {"options": options, "weight_decay": weight_decay}
    with optimizer_registry.calling(name):
        optimizer = make(learning_rate, **{word: value for word, value in offered.items() if takes(make, word)})
    if not isinstance(optimizer, tf.train.Optimizer):
        raise UsageError(
            f"The optimizer {name!r} ({optimizer_registry.origin(name)}) must be a tf.compat.v1.train.Optimizer, not "
            f"{type(optimizer).__module__}.{type(optimizer).__qualname__}."
        )
    return optimizer
