"""The plateau of a constant answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slim_train.training.plateau import PlateauWatch, constant_answer_loss


def _lowest_loss_of_one_answer(shares, label_smoothing=0.0, class_weights=None):
    """By trying: gradient descent on the logits of the answer."""
    shares = np.asarray(shares, float)
    weights = np.ones(len(shares)) if class_weights is None else np.asarray(class_weights, float)
    targets = (1 - label_smoothing) * np.eye(len(shares)) + label_smoothing / len(shares)
    logits = np.zeros(len(shares))
    pull = shares * weights
    for _ in range(20_000):
        answer = np.exp(logits) / np.exp(logits).sum()
        logits -= 0.1 * (pull.sum() * answer - pull @ targets)
    log_answer = logits - np.log(np.exp(logits).sum())
    return -(pull[:, None] * targets * log_answer).sum()


@pytest.mark.parametrize(
    ("shares", "label_smoothing", "class_weights"),
    [
        ([0.25] * 4, 0.0, None),
        ([0.7, 0.2, 0.1], 0.0, None),
        ([0.7, 0.2, 0.1], 0.1, None),
        ([0.7, 0.2, 0.1], 0.0, [1 / 2.1, 1 / 0.6, 1 / 0.3]),
        ([0.7, 0.2, 0.1], 0.2, [0.5, 1.0, 3.0]),
        ([0.6, 0.4, 0.0], 0.1, None),  # a class of the net that the data lack
    ],
)
def test_the_loss_of_a_constant_answer_is_the_lowest_that_any_answer_has(shares, label_smoothing, class_weights):
    tried = _lowest_loss_of_one_answer(shares, label_smoothing, class_weights)
    assert constant_answer_loss(shares, label_smoothing, class_weights) == pytest.approx(tried, rel=1e-3)


def _watch(losses):
    watch = PlateauWatch(math.log(10))
    for step, loss in enumerate(losses, 1):
        watch.add(step, loss)
    watch.finish(len(losses))
    return watch.plateau


def test_a_loss_that_stays_at_the_constant_answer_is_a_plateau():
    noise = np.random.RandomState(0).normal(0, 0.1, 400)
    plateau = _watch(2.305 + noise)
    assert plateau.since_step == 300
    assert plateau.loss == pytest.approx(2.305, abs=0.05)
    assert plateau.left_at_step is None


@pytest.mark.parametrize(
    "losses",
    [
        np.linspace(2.3, 0.2, 600),
        np.concatenate([np.full(150, 2.303), np.linspace(2.3, 0.5, 450)]),  # starts slowly
        np.linspace(2.33, 2.26, 400),  # learns slowly, but learns
        np.full(400, 2.0),  # stands still below the constant answer: has learned something
        np.full(400, 3.0),  # or above it: something else is wrong
    ],
    ids=["learns", "starts slowly", "learns slowly", "below", "above"],
)
def test_a_loss_that_falls_or_is_elsewhere_is_no_plateau(losses):
    assert _watch(losses) is None


def test_a_training_that_recovers_says_when():
    plateau = _watch([2.303] * 350 + [1.5] * 250)
    assert plateau.since_step == 300
    assert plateau.left_at_step == 400


@pytest.mark.parametrize(("steps", "is_found"), [(59, False), (60, True), (150, True)])
def test_a_short_training_is_judged_at_its_end_unless_it_is_very_short(steps, is_found):
    losses = np.concatenate([np.linspace(9, 2.303, 30), np.full(steps - 30, 2.303)])
    assert (_watch(losses) is not None) == is_found
