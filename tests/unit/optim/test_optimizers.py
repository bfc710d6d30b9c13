"""The optimizers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from slim_train import register_optimizer
from slim_train.errors import UsageError
from slim_train.optim import optimizers
from slim_train.tf_compat import tf
from slim_train.training_options import OPTIMIZERS, OptimizerOptions


def test_an_unknown_optimizer_names_the_nearest_first() -> None:
    with pytest.raises(UsageError, match=r"'adamm'. Did you mean adam.*Valid: adadelta, adagrad, adam"):
        optimizers.build_optimizer(OptimizerOptions(optimizer="adamm"), 0.1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_descends(name: str, quadratic: Any) -> None:
    with tf.Graph().as_default():
        minimized = quadratic(optimizers.build_optimizer(OptimizerOptions(optimizer=name), 0.01))
        losses = [minimized.after(steps)[2] for steps in (0, 1, 5)]
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize(
    ("name", "after_one_step"),
    [
        # from 3, where the gradient is 6, with learning rate 0.1 and research/slim's other defaults
        ("sgd", 3 - 0.1 * 6),
        ("momentum", 3 - 0.1 * 6),
        ("adagrad", 3 - 0.1 * 6 / np.sqrt(0.1 + 36)),
        ("rmsprop", 3 - 0.1 * 6 / np.sqrt(0.9 * 1 + 0.1 * 36 + 1)),
        ("adam", 3 - 0.1 * np.sqrt(1 - 0.999) / (1 - 0.9) * 0.6 / (np.sqrt(0.036) + 1)),
    ],
)
def test_the_defaults_are_those_of_research_slim(name: str, after_one_step: float, quadratic: Any) -> None:
    with tf.Graph().as_default():
        weights, _, _ = quadratic(optimizers.build_optimizer(OptimizerOptions(optimizer=name), 0.1)).after(1)
    assert weights == pytest.approx(np.full((2, 3), after_one_step), rel=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "changed"),
    [
        ("adadelta", {"adadelta_rho": 0.5}),
        ("adadelta", {"opt_epsilon": 0.1}),
        ("adagrad", {"adagrad_initial_accumulator_value": 9.0}),
        ("adam", {"adam_beta1": 0.5}),
        ("adam", {"adam_beta2": 0.5}),
        ("adam", {"opt_epsilon": 0.1}),
        ("adamw", {"adam_beta1": 0.5}),
        ("adamw", {"adam_beta2": 0.5}),
        ("adamw", {"opt_epsilon": 0.1}),
        ("ftrl", {"ftrl_learning_rate_power": -0.9}),
        ("ftrl", {"ftrl_initial_accumulator_value": 9.0}),
        ("ftrl", {"ftrl_l1": 1.0}),
        ("ftrl", {"ftrl_l2": 1.0}),
        ("momentum", {"momentum": 0.5}),
        ("rmsprop", {"rmsprop_momentum": 0.5}),
        ("rmsprop", {"rmsprop_decay": 0.5}),
        ("rmsprop", {"opt_epsilon": 0.1}),
    ],
)
def test_each_parameter_reaches_its_optimizer(optimizer: str, changed: dict[str, float], quadratic: Any) -> None:
    options = OptimizerOptions(optimizer=optimizer)
    results = []
    for variant in (options, dataclasses.replace(options, **changed)):
        with tf.Graph().as_default():
            results.append(quadratic(optimizers.build_optimizer(variant, 0.1)).after(2)[0][0, 0])
    assert results[0] != pytest.approx(results[1], rel=1e-6)


def after_a_step(name: str, quadratic: Any, **values: Any) -> float:
    """A weight that starts at 3 with the gradient 6."""
    with tf.Graph().as_default():
        optimizer = optimizers.build_optimizer(OptimizerOptions(optimizer=name, **values), tf.constant(0.1), 0.5)
        return quadratic(optimizer).after(1)[0][0, 0]


def test_a_registered_optimizer_gets_the_learning_rate(quadratic: Any) -> None:
    register_optimizer("descent", lambda rate: tf.train.GradientDescentOptimizer(rate))
    assert after_a_step("descent", quadratic) == pytest.approx(3 - 0.1 * 6)
    assert not optimizers.decays_weights("descent")


def test_a_registered_class_is_an_optimizer(quadratic: Any) -> None:
    register_optimizer("descent_class", tf.train.GradientDescentOptimizer)
    assert after_a_step("descent_class", quadratic) == pytest.approx(3 - 0.1 * 6)


def test_a_registered_optimizer_gets_flags_and_weight_decay_if_it_takes_them(quadratic: Any) -> None:
    def make(rate, options, weight_decay):
        return tf.train.GradientDescentOptimizer(rate * options.momentum * weight_decay)

    register_optimizer("scaled_descent", make)
    assert after_a_step("scaled_descent", quadratic, momentum=0.4) == pytest.approx(3 - 0.1 * 0.4 * 0.5 * 6)
    assert optimizers.decays_weights("scaled_descent")


def test_of_slim_trains_optimizers_adamw_alone_decays_weights() -> None:
    assert [name for name in OPTIMIZERS if optimizers.decays_weights(name)] == ["adamw"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda rate: "adam", "must be a tf.compat.v1.train.Optimizer, not builtins.str"),
        (lambda rate: rate.nothing, r"failed. .*test_optimizers.py, line \d+: AttributeError"),
    ],
)
def test_a_registered_optimizer_that_does_not_work_is_named(make: Any, words: str) -> None:
    register_optimizer("broken_optimizer", make)
    with tf.Graph().as_default(), pytest.raises(UsageError, match=f"'broken_optimizer' .*test_optimizers.py.*{words}"):
        optimizers.build_optimizer(OptimizerOptions(optimizer="broken_optimizer"), tf.constant(0.1))
