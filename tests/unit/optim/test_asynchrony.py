"""Momentum under asynchronous workers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from slim_train.optim.asynchrony import corrected_momentum, with_corrected_momentum
from slim_train.optim.schedule import Schedule
from slim_train.training_options import OptimizerOptions


def _schedule(num_replicas, **kwargs):
    return Schedule(num_samples=1000, batch_size=10, num_replicas=num_replicas, **kwargs)


@pytest.mark.parametrize(
    ("momentum", "num_workers", "corrected"),
    [(0.9, 1, 0.9), (0.9, 2, 0.8), (0.9, 3, 0.7), (0.9, 10, 0.0), (0.9, 40, 0.0), (0.0, 2, 0.0)],
)
def test_momentum_and_asynchrony_together_make_up_the_momentum(momentum, num_workers, corrected):
    assert corrected_momentum(momentum, num_workers) == pytest.approx(corrected)


@pytest.mark.parametrize(("optimizer", "flag"), [("rmsprop", "rmsprop_momentum"), ("momentum", "momentum")])
def test_asynchronous_workers_train_with_less_momentum(optimizer, flag):
    options = OptimizerOptions(optimizer=optimizer)
    assert getattr(with_corrected_momentum(options, _schedule(2)), flag) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("options", "schedule"),
    [
        (OptimizerOptions(), _schedule(1)),
        (OptimizerOptions(), _schedule(2, sync_replicas=True, replicas_to_aggregate=2)),
        (OptimizerOptions(optimizer="sgd"), _schedule(2)),
        (OptimizerOptions(correct_async_momentum=False), _schedule(2)),
    ],
    ids=["one worker", "synchronous", "no momentum", "switched off"],
)
def test_others_keep_theirs(options, schedule):
    assert with_corrected_momentum(options, schedule) == options


def _diverges(momentum, num_workers, seed):
    """Whether workers that take random turns on the loss w^2/2, from variables that they read a turn ago, diverge."""
    random = np.random.RandomState(seed)
    weight, velocity, largest = 1.0, 0.0, 1.0
    read = [weight] * num_workers
    for _ in range(2000):
        worker = random.randint(num_workers)
        velocity = momentum * velocity + 0.2 * read[worker]
        weight -= velocity
        read[worker] = weight
        largest = max(largest, abs(weight))
    return largest > 1e3


@pytest.mark.parametrize("num_workers", [2, 3])
def test_at_a_rate_that_one_worker_bears_more_workers_diverge_without_the_correction(num_workers):
    assert not _diverges(0.9, 1, seed=0)
    assert all(_diverges(0.9, num_workers, seed) for seed in range(5))
    assert not any(_diverges(corrected_momentum(0.9, num_workers), num_workers, seed) for seed in range(5))


def test_options_that_are_saved_keep_the_momentum_that_was_given():
    options = OptimizerOptions()
    with_corrected_momentum(options, _schedule(2))
    assert dataclasses.asdict(options)["rmsprop_momentum"] == 0.9
