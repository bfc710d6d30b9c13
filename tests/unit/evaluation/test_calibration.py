"""How far probabilities can be trusted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slim_train.evaluation.calibration import (
    CalibrationCounter,
    best_temperature,
    calibration_error,
    class_thresholds,
    coverage,
    reliability,
    wilson_interval,
)


def drawn(count, num_classes, temperature, seed=0):
    """Logits that are ``temperature`` times too large, and labels drawn from the right probabilities."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, num_classes))
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    return (temperature * logits).astype(np.float32), labels


def counted(logits, labels, batch, **more):
    counter = CalibrationCounter(logits.shape[1], **more)
    for start in range(0, len(labels), batch):
        part, true = logits[start : start + batch], labels[start : start + batch]
        weights = np.exp(part - part.max(axis=1, keepdims=True))
        counter.add(true, part.argmax(axis=1), 1 / weights.sum(axis=1), part)
    return counter.result()


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_logits_were_multiplied_with_is_found_and_mends_the_calibration(temperature):
    result = counted(*drawn(20_000, 5, temperature), batch=512).temperature
    assert result.value == pytest.approx(temperature, rel=0.05)
    assert result.calibration_error_after < 0.015
    assert result.loss_after <= result.loss_before


def test_no_other_temperature_has_a_smaller_cross_entropy():
    logits, labels = drawn(500, 4, 2.5)
    best = best_temperature(logits, labels)

    def loss(temperature):
        scaled = logits / temperature
        return np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels])

    assert all(loss(best) <= loss(best * factor) for factor in (0.99, 0.999, 1.001, 1.01))


def test_bins_give_the_error_of_the_definition():
    confidences, is_right = np.array([0.95, 0.95, 0.95, 0.95, 0.5]), np.array([1, 1, 1, 0, 0])
    bins = reliability(confidences, is_right)
    assert [(of.images, of.accuracy) for of in bins] == [(1, 0.0), (4, 0.75)]
    assert calibration_error(bins) == pytest.approx((4 * 0.2 + 0.5) / 5)


def test_batches_of_any_size_give_the_same_even_if_logits_are_thinned_out():
    logits, labels = drawn(1000, 3, 2.0)
    results = [counted(logits, labels, batch, most_values=900) for batch in (1, 7, 1000)]
    assert results[0] == results[1] == results[2]
    assert results[0].temperature.images == 250
    assert results[0].bins == counted(logits, labels, 100).bins


@pytest.mark.parametrize(
    ("logits", "labels"),
    [([[9.0, 0.0], [0.0, 9.0]], [0, 1]), ([[0.0, 9.0]], [0]), ([[1.0]], [0]), ([[0.0, 0.0]], [1])],
    ids=["all right", "all wrong", "one class", "no preference"],
)
def test_a_split_without_a_best_temperature_has_none(logits, labels):
    assert counted(np.array(logits), np.array(labels), 1).temperature is None


def test_coverage_falls_with_the_threshold_and_counts_what_is_answered():
    rows = coverage(np.array([0.96, 0.96, 0.7, 0.3], np.float32), np.array([1, 1, 0, 1]))
    by_threshold = {row.threshold: row for row in rows}
    assert (by_threshold[0].images, by_threshold[0].accuracy) == (4, 0.75)
    assert (by_threshold[0.5].coverage, by_threshold[0.5].accuracy) == (0.75, pytest.approx(2 / 3))
    assert (by_threshold[0.95].images, by_threshold[0.95].accuracy) == (2, 1.0)
    assert max(by_threshold) == 0.95


def test_the_threshold_of_a_class_leaves_the_most_predictions_at_the_wished_precision():
    confidences = np.array([0.9, 0.8, 0.7, 0.6, 0.9, 0.9])
    predicted, is_right = np.array([2, 2, 2, 2, 5, 5]), np.array([1, 0, 1, 1, 0, 1])
    found = list(class_thresholds(confidences, predicted, is_right, 0.75, least=1))
    assert [(row.label, row.threshold, row.images, row.precision, row.coverage) for row in found] == [
        (2, 0.6, 4, 0.75, 1.0)
    ], "of class 5 equal probabilities are right and wrong"


def test_a_class_with_few_predictions_has_no_threshold():
    for images, classes in ((19, []), (20, [3])):
        ones = np.ones(images, np.int64)
        assert [row.label for row in class_thresholds(0.9 * ones, 3 * ones, ones)] == classes


def test_the_interval_is_wilsons():
    # statsmodels.stats.proportion.proportion_confint(8, 10, method="wilson")
    assert wilson_interval(8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-5)
    assert wilson_interval(0, 3)[0] == pytest.approx(0)
    assert wilson_interval(3, 3)[1] == pytest.approx(1)


def test_very_many_classes_take_little_json():
    random = np.random.default_rng(0)
    logits = random.normal(size=(40, 21_843)).astype(np.float32)
    result = counted(logits, logits.argmax(axis=1), 20)
    assert len(json.dumps(result.to_dict())) < 20_000
