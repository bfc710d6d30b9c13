"""Momentum under asynchronous workers. No TensorFlow.

Asynchrony adds momentum of its own. With ``M`` workers an update is computed from variables that are ``M - 1`` updates
old, which in the mean acts as a momentum of ``1 - 1/M`` (Mitliagkas, Zhang, Hadjis, Re: "Asynchrony begets Momentum,
with an Application to Deep Learning", 2016). On top of a momentum of 0.9 it makes training unstable: LeNet on digits
dies in half of the runs with two workers. The cure of that paper is less momentum of the optimizer's.
"""

from __future__ import annotations

import logging

from slim_train import config
from slim_train.optim.schedule import Schedule
from slim_train.training_options import OptimizerOptions

log = logging.getLogger(__name__)

_MOMENTUM_OF = {"momentum": "momentum", "rmsprop": "rmsprop_momentum"}


def corrected_momentum(momentum: float, num_workers: int) -> float:
    """Return the momentum that, with that of asynchrony, makes up ``momentum``.

    Both damp alike: ``(1 - corrected) * (1 - (1 - 1/M)) = 1 - momentum``. From ``1 / (1 - momentum)`` workers on,
    asynchrony alone has more, and nothing is left. Each worker then moves the variables as far per image as one of
    ``M`` synchronous replicas does at the same learning rate.
    """
    return max(0.0, 1.0 - num_workers * (1.0 - momentum))


def with_corrected_momentum(options: OptimizerOptions, schedule: Schedule) -> OptimizerOptions:
    """Return the options with the momentum for the asynchronous workers of ``schedule``; said in the log if it differs.

    Optimizers without momentum, one worker and synchronous replicas keep theirs.
    """
    name = _MOMENTUM_OF.get(options.optimizer)
    if name is None or not options.correct_async_momentum or not schedule.is_asynchronous:
        return options
    momentum = getattr(options, name)
    corrected = corrected_momentum(momentum, schedule.num_replicas)
    if corrected == momentum:
        return options
    log.info(
        "%d asynchronous workers: --%s=%.3g is corrected to %.3g, as asynchrony adds to it "
        "(--correct_async_momentum=false keeps it).", schedule.num_replicas, name, momentum, corrected,
    )  # fmt: skip
    return config.with_values(options, {name: corrected})
