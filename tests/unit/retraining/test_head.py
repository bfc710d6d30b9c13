from __future__ import annotations

import numpy as np
import pytest

from slim_train.errors import RunError
from slim_train.retraining.head import Head

RATE = 0.1


def features_and_labels() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return (random.normal(size=(60, 5)) + 2.0 * np.eye(3, 5)[labels]).astype(np.float32), labels


@pytest.fixture
def head():
    return Head(*features_and_labels(), num_classes=3, learning_rate=RATE, random=np.random.default_rng(1))


def gradient_step(weights, biases, features, labels):
    """One step of softmax regression, written out."""
    logits = features @ weights + biases
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = (probabilities - np.eye(3)[labels]) / len(labels)
    return weights - RATE * features.T @ error, biases - RATE * error.sum(axis=0)


def test_each_step_goes_down_the_gradient_of_the_mean_cross_entropy(head):
    features, labels = features_and_labels()
    expected = head.read()
    numbers = np.random.default_rng(2).integers(60, size=(7, 20))
    for batch in numbers:
        expected = gradient_step(*expected, features[batch], labels[batch])
        head.step(batch)
    np.testing.assert_allclose(head.read().weights, expected[0], atol=1e-6)
    np.testing.assert_allclose(head.read().biases, expected[1], atol=1e-6)


def test_weight_decay_shrinks_the_weights_and_not_the_biases():
    features, labels = features_and_labels()
    decayed, plain = (
        Head(features, labels, 3, RATE, np.random.default_rng(1), weight_decay) for weight_decay in (0.5, 0.0)
    )
    before = plain.read().weights
    for head in (decayed, plain):
        head.step(np.arange(20))
    difference = plain.read().weights - decayed.read().weights
    np.testing.assert_allclose(difference, RATE * 0.5 * before, atol=1e-7)
    np.testing.assert_array_equal(plain.read().biases, decayed.read().biases)


def test_features_of_distorted_pictures_take_the_place_of_the_stored_ones(head):
    features, labels = features_and_labels()
    numbers, distorted = np.array([3, 1, 4, 1]), features[[3, 1, 4, 1]] * 0.5
    expected = gradient_step(*head.read(), distorted, labels[numbers])
    head.step(numbers, distorted)
    np.testing.assert_allclose(head.read().weights, expected[0], atol=1e-6)


def test_training_learns_what_can_be_learned(head):
    before = head.score(np.arange(60))
    for numbers in np.random.default_rng(2).integers(60, size=(300, 20)):
        head.step(numbers)
    after = head.score(np.arange(60))
    assert after.accuracy > 0.9
    assert after.cross_entropy < 0.5 < before.cross_entropy


def test_the_score_is_accuracy_and_mean_cross_entropy(head):
    features, labels = features_and_labels()
    head.step(np.arange(60))
    weights, biases = head.read()
    logits = features @ weights + biases
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(60), labels]
    score = head.score(np.arange(60))
    assert score.accuracy == pytest.approx((logits.argmax(axis=1) == labels).mean())
    assert score.cross_entropy == pytest.approx(losses.mean(), rel=1e-5)


def test_logits_of_many_pictures_come_in_order(head):
    features, _ = features_and_labels()
    head.step(np.arange(60))
    numbers = np.random.default_rng(3).integers(60, size=2500)
    np.testing.assert_allclose(
        head.logits(numbers), features[numbers] @ head.read().weights + head.read().biases, atol=1e-5
    )


def test_initial_weights_are_small_and_cut_off():
    made = Head(np.zeros((1, 4000), np.float32), np.zeros(1, np.int64), 5, RATE, np.random.default_rng(0))
    weights = made.read().weights
    assert 0.0008 < weights.std() < 0.001
    assert np.abs(weights).max() <= 0.002


def test_diverged_training_is_an_error_that_names_the_rate():
    features = np.full((4, 2), 1e20, np.float32)
    made = Head(features, np.array([0, 1, 0, 1]), 2, 1e20, np.random.default_rng(0))
    for _ in range(5):
        made.step(np.arange(4))
    with pytest.raises(RunError, match="--learning_rate"):
        made.score(np.arange(4))


def test_a_score_of_very_many_classes_is_that_of_parts_of_few_images():
    random, classes = np.random.default_rng(0), 10_000
    features, labels = random.normal(size=(500, 2)).astype(np.float32), random.integers(classes, size=500)
    head = Head(features, labels, classes, RATE, random)
    numbers = np.arange(500)
    parts = list(head.parts(numbers))
    assert max(logits.nbytes for _, logits in parts) <= 16e6
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), numbers)
    np.testing.assert_allclose(head.score(numbers), head.score(numbers, features), rtol=1e-5)
