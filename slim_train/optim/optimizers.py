"""Optimizers, from options to graph-mode TensorFlow 1 objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slim_train.errors import unknown
from slim_train.optim.adamw import AdamW
from slim_train.tf_compat import tf
from slim_train.training_options import OptimizerOptions


def build_optimizer(options: OptimizerOptions, learning_rate: Any, weight_decay: float = 0.0) -> Any:
    """Return the ``tf.train.Optimizer`` that the options name, with research/slim's parameters.

    Args:
      learning_rate: scalar, a number or a tensor.
      weight_decay: adamw's decoupled decay rate; the others are regularized by losses instead. See :class:`AdamW`.

    Raises:
      UsageError: the name is unknown.
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
    if o.optimizer not in optimizers:
        raise unknown("optimizer", o.optimizer, optimizers)
    return optimizers[o.optimizer]()
