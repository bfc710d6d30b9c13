"""The learning rate of a step: warm-up and decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from slim_train.errors import UsageError, unknown
from slim_train.optim.schedule import Schedule
from slim_train.tf_compat import tf
from slim_train.training_options import OptimizerOptions


def build_learning_rate(options: OptimizerOptions, schedule: Schedule, global_step: Any) -> Any:
    """Return the learning rate at a global step, scalar float32.

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
