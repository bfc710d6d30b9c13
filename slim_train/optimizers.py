"""Learning rates, optimizers and gradient clipping, from options to graph-mode TensorFlow 1 objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slim_train.errors import UsageError, unknown
from slim_train.options import OptimizerOptions
from slim_train.steps import Schedule
from slim_train.tf_compat import tf


def build_learning_rate(options: OptimizerOptions, schedule: Schedule, global_step: Any) -> Any:
    """The learning rate at a global step, scalar float32.

    fixed, exponential (in steps) and polynomial (a line to ``end_learning_rate``) are research/slim's, counted from
    step 0 and paced by ``schedule.decay_steps``. cosine falls from the end of the warmup to ``end_learning_rate`` at
    ``schedule.last_step`` (Loshchilov & Hutter 2017, without restarts). During the first ``warmup_steps`` the rate is
    scaled by a line that reaches 1 with the last of them.

    Raises:
      UsageError: the decay type is unknown, or cosine has no last step to fall to.
    """
    decay_types: dict[str, Callable[[OptimizerOptions, Schedule, Any], Any]] = {
        "fixed": _fixed,
        "exponential": _exponential,
        "polynomial": _polynomial,
        "cosine": _cosine,
    }
    if options.learning_rate_decay_type not in decay_types:
        raise unknown("learning_rate_decay_type", options.learning_rate_decay_type, decay_types)
    with tf.name_scope("learning_rate"):
        step = tf.cast(global_step, tf.float32)
        rate = decay_types[options.learning_rate_decay_type](options, schedule, step)
        if options.warmup_steps:
            rate *= tf.minimum(1.0, (step + 1.0) / options.warmup_steps)
    return rate


def _fixed(options: OptimizerOptions, schedule: Schedule, step: Any) -> Any:
    return tf.constant(options.learning_rate, tf.float32)


def _exponential(options: OptimizerOptions, schedule: Schedule, step: Any) -> Any:
    assert schedule.decay_steps is not None, "exponential decay goes by epochs"
    decays = tf.floor(step / schedule.decay_steps)
    return options.learning_rate * tf.pow(options.learning_rate_decay_factor, decays)


def _polynomial(options: OptimizerOptions, schedule: Schedule, step: Any) -> Any:
    assert schedule.decay_steps is not None, "polynomial decay goes by epochs"
    done = tf.minimum(1.0, step / schedule.decay_steps)
    return options.learning_rate + (options.end_learning_rate - options.learning_rate) * done


def _cosine(options: OptimizerOptions, schedule: Schedule, step: Any) -> Any:
    if schedule.last_step is None:
        raise UsageError("--learning_rate_decay_type=cosine needs an end: give --max_number_of_steps or --num_epochs.")
    length = max(1, schedule.last_step - options.warmup_steps)
    done = tf.clip_by_value((step - options.warmup_steps) / length, 0.0, 1.0)
    height = 0.5 * (1.0 + tf.cos(np.pi * done))
    return options.end_learning_rate + (options.learning_rate - options.end_learning_rate) * height


def build_optimizer(options: OptimizerOptions, learning_rate: Any, weight_decay: float = 0.0) -> Any:
    """The ``tf.train.Optimizer`` that the options name, with research/slim's parameters.

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


def clip_by_global_norm(gradients: Sequence[tuple[Any, Any]], clip_norm: float) -> list[tuple[Any, Any]]:
    """Scale all gradients down together where their joint L2 norm is above ``clip_norm`` (Pascanu et al. 2012).

    Args:
      gradients: (gradient, variable); gradients are tensors or ``tf.IndexedSlices``.
      clip_norm: above 0.
    """
    clipped, norm = tf.clip_by_global_norm([gradient for gradient, _ in gradients], clip_norm)
    tf.summary.scalar("gradient_norm", norm)
    return [(gradient, variable) for gradient, (_, variable) in zip(clipped, gradients, strict=True)]


class AdamW(tf.train.AdamOptimizer):
    """Adam with decoupled weight decay: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019.

    Before each Adam update a variable loses the share ``learning_rate * weight_decay`` of itself. As in PyTorch's AdamW
    the share follows the learning rate through its schedule. Vectors and scalars keep their size: these are biases and
    batch norm's gammas and betas. Regularization losses must be left out of the loss, or weights decay twice.

    Args:
      weight_decay: decay rate; customary values, 0.01 to 0.1, are far above those of L2 losses.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        name: str = "AdamW",
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, name=name)
        self._weight_decay = weight_decay

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return self._decayed_first(var, grad, lambda: super(AdamW, self)._apply_dense(grad, var))

    def _resource_apply_dense(self, grad: Any, var: Any) -> Any:
        return self._decayed_first(var, grad, lambda: super(AdamW, self)._resource_apply_dense(grad, var))

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return self._decayed_first(var, grad.values, lambda: super(AdamW, self)._apply_sparse(grad, var))

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any) -> Any:
        return self._decayed_first(var, grad, lambda: super(AdamW, self)._resource_apply_sparse(grad, var, indices))

    def _decayed_first(self, variable: Any, gradient: Any, update: Callable[[], Any]) -> Any:
        if not self._weight_decay or variable.shape.rank < 2:
            return update()
        # Not before the gradient is known: the forward pass must read the variable as the last step left it.
        with tf.control_dependencies([gradient]):
            share = tf.cast(self._lr_t * self._weight_decay, variable.dtype.base_dtype)
            decay = variable.assign_sub(share * variable.read_value(), use_locking=self._use_locking, read_value=False)
        with tf.control_dependencies([decay]):
            return update()
