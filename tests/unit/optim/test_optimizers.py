"""The optimizers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.optim import optimizers
from slim_train.tf_compat import tf
from slim_train.training_options import OPTIMIZERS, OptimizerOptions


def unchecked(**values: Any) -> OptimizerOptions:
    """Options that did not pass the checks of the command line."""
    options = OptimizerOptions()
    for name, value in values.items():
        object.__setattr__(options, name, value)
    return options


def test_an_unknown_optimizer_names_the_nearest_first() -> None:
    with pytest.raises(UsageError, match=r"'adamm'. Did you mean adam.*Valid: adadelta, adagrad, adam"):
        optimizers.build_optimizer(unchecked(optimizer="adamm"), 0.1)


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
