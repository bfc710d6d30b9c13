"""Losses by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from slim_train import register_loss
from slim_train.errors import UsageError
from slim_train.optim.loss_functions import make_loss
from slim_train.tf_compat import tf
from slim_train.training_options import LOSSES, OptimizerOptions

LOGITS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) * 3
LABELS = np.array([0, 3, 1, 1, 2, 0])
WEIGHTS = np.array([1.0, 2.0, 0.5, 1.0, 0.0, 1.0], np.float32)
_NUMBERS = itertools.count()


def value_of(options: OptimizerOptions, logits: Any = LOGITS, labels: Any = LABELS, weights: Any = WEIGHTS) -> Any:
    """The loss and its gradient."""
    with tf.Graph().as_default(), tf.Session() as session:
        logits = tf.constant(logits)
        loss = make_loss(options)(logits, tf.constant(labels, tf.int64), tf.constant(weights, tf.float32))
        return session.run((loss, tf.gradients(loss, logits)[0]))


def registered(function: Callable[..., Any]) -> OptimizerOptions:
    """Options that name ``function``."""
    name = f"loss_{next(_NUMBERS)}"
    register_loss(name, function)
    return OptimizerOptions(loss=name)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -log_softmax[np.arange(len(labels)), labels]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_loss_has_the_value_of_its_definition(gamma: float) -> None:
    losses, _ = value_of(OptimizerOptions(loss="focal", focal_gamma=gamma))
    entropy = cross_entropy(LOGITS, LABELS)
    np.testing.assert_allclose(losses, WEIGHTS * (1 - np.exp(-entropy)) ** gamma * entropy, rtol=1e-4, atol=1e-6)


def test_focal_loss_has_the_gradient_of_its_definition() -> None:
    def definition(logits: np.ndarray) -> float:
        entropy = cross_entropy(logits, LABELS)
        return float((WEIGHTS * (1 - np.exp(-entropy)) ** 2 * entropy).sum())

    _, gradient = value_of(OptimizerOptions(loss="focal"))
    steps = np.eye(LOGITS.size).reshape(-1, *LOGITS.shape) * 1e-5
    numeric = [(definition(LOGITS + step) - definition(LOGITS - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(gradient.ravel(), numeric, rtol=1e-3, atol=1e-5)


def test_focal_loss_with_gamma_0_is_the_cross_entropy() -> None:
    focal, softmax = (value_of(OptimizerOptions(loss=name, focal_gamma=0.0)) for name in ("focal", "softmax"))
    for one, other in zip(focal, softmax, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_loss_and_its_gradient_are_finite_at_both_ends(gamma: float) -> None:
    logits = np.array([[200.0, -200.0], [-200.0, 200.0], [1e-9, 0.0]], np.float32)
    for values in value_of(OptimizerOptions(loss="focal", focal_gamma=gamma), logits, [0, 0, 0], np.ones(3)):
        assert np.isfinite(values).all()


def test_focal_loss_has_no_label_smoothing() -> None:
    with pytest.raises(UsageError, match="--label_smoothing=0.1 is not supported by --loss=focal"):
        make_loss(OptimizerOptions(loss="focal", label_smoothing=0.1))


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_falls_where_logits_follow_its_gradient(name: str) -> None:
    options = OptimizerOptions(loss=name)
    before, gradient = value_of(options)
    after, _ = value_of(options, LOGITS - 0.1 * gradient)
    assert after.sum() < before.sum()


def test_a_registered_loss_is_called_by_its_name() -> None:
    losses, _ = value_of(registered(lambda logits, labels, weights: weights * tf.reduce_sum(logits, axis=1)))
    np.testing.assert_allclose(losses, WEIGHTS * LOGITS.sum(axis=1), rtol=1e-5)


def test_a_registered_loss_gets_label_smoothing_if_it_takes_it() -> None:
    def smooth(logits, labels, weights, label_smoothing):
        return label_smoothing * tf.reduce_sum(logits, axis=1)

    name = registered(smooth).loss
    losses, _ = value_of(OptimizerOptions(loss=name, label_smoothing=0.25))
    np.testing.assert_allclose(losses, 0.25 * LOGITS.sum(axis=1), rtol=1e-5)


def test_label_smoothing_is_refused_for_a_registered_loss_that_does_not_take_it() -> None:
    name = registered(lambda logits, labels, weights: tf.reduce_sum(logits)).loss
    with pytest.raises(UsageError, match=f"not supported by --loss={name}"):
        make_loss(OptimizerOptions(loss=name, label_smoothing=0.1))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda logits, labels, weights: logits, r"a loss for each image, shape \(6,\), or a scalar, not .*\(6, 4\)"),
        (lambda logits, labels, weights: logits[:2, 0], r"not the shape \(2,\)"),
        (lambda logits, labels, weights: tf.cast(logits[:, 0], tf.float64), "must return float32, not float64"),
        (lambda logits, labels, weights: labels, "must return float32, not int64"),
        (lambda logits, labels, weights: weights, "does not depend on the logits"),
        (lambda logits, labels, weights: tf.cast(tf.argmax(logits, 1), tf.float32), "does not depend on the logits"),
        (lambda logits, labels, weights: None, "failed. ValueError"),
        (lambda logits, labels, weights: 1 / 0, r"failed. .*test_loss_functions.py, line \d+: ZeroDivisionError"),
    ],
)
def test_a_registered_loss_that_does_not_work_is_named(function: Callable[..., Any], words: str) -> None:
    options = registered(function)
    with pytest.raises(UsageError, match=f"'{options.loss}' .*test_loss_functions.py.*{words}"):
        value_of(options)


def test_an_unknown_loss_lists_all_of_them() -> None:
    register_loss("mine", lambda logits, labels, weights: tf.reduce_sum(logits))
    with pytest.raises(UsageError, match=r"Unknown loss 'focl'. Did you mean focal\?.*mine \(.*test_loss_functions"):
        make_loss(OptimizerOptions(loss="focl"))
