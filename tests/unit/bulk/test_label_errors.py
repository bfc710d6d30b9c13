"""Labels that are probably wrong, on features of known classes."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from slim_train.bulk.label_errors import FOLDS, doubtful_labels, out_of_fold
from slim_train.retraining import head


def _data(count: int = 600, classes: int = 4, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, list[bytes | None]]:
    """Points around a center for each class, which a classifier separates well but not quite."""
    random = np.random.default_rng(3)
    labels = np.arange(count) % classes
    centers = random.standard_normal((classes, 32)) * 100
    features = centers[labels] + random.standard_normal((count, 32)) * 100 * spread
    return features.astype(np.float32), labels, [str(number).encode() for number in range(count)]


def test_swapped_labels_are_among_the_first_with_their_class_as_the_suggestion() -> None:
    features, labels, keys = _data()
    swapped = np.random.default_rng(0).choice(len(labels), 30, replace=False)
    given = labels.copy()
    given[swapped] = (labels[swapped] + 1) % 4
    doubts = doubtful_labels(features, given, keys, 4)
    assert np.isin(swapped, doubts.order[:60]).mean() >= 0.9
    assert (doubts.suggestions[swapped] == labels[swapped]).mean() >= 0.9
    probable = np.flatnonzero(doubts.is_probable)
    assert np.isin(probable, swapped).mean() >= 0.8
    assert np.isin(swapped, probable).mean() >= 0.7
    assert doubtful_labels(features, given, keys, 4).order.tolist() == doubts.order.tolist()


def _all_parts(features: Any, labels: Any, keys: Any, num_classes: int) -> Any:
    probabilities = np.full((len(labels), num_classes), np.nan)
    for numbers, of_part in out_of_fold(features, labels, keys, num_classes):
        probabilities[numbers] = of_part
    return probabilities


def test_memory_follows_images_and_not_images_times_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_ROWS_AT_ONCE", 100)
    random = np.random.default_rng(0)
    features, labels = random.standard_normal((4000, 4), np.float32), random.integers(0, 500, 4000)
    keys = [str(number).encode() for number in range(4000)]
    tracemalloc.start()
    doubtful_labels(features, labels, keys, 500)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4000 * 500 * 8 / 2


def test_copies_with_the_same_wrong_label_do_not_vouch_for_each_other() -> None:
    features, labels, keys = _data(spread=0.5)
    copies = np.arange(0, 80, 4)  # 20 copies of an image of class 0, said to be of class 1
    features[copies], labels[copies] = features[0], 1
    for number in copies:
        keys[number] = b"copy"
    probabilities = _all_parts(features, labels, keys, 4)
    assert (probabilities[copies].argmax(axis=1) == 0).all()


def test_a_class_of_one_image_is_not_doubted() -> None:
    features, labels, keys = _data(count=50)
    labels[7] = 4
    doubts = doubtful_labels(features, labels, keys, 6)
    assert doubts.order[-1] == 7
    assert not doubts.is_probable[7]
    assert doubts.label_probabilities[7] == 1.0


@pytest.mark.parametrize("count", [2, FOLDS, 9])
def test_few_images_are_no_error(count: int) -> None:
    features, labels, keys = _data(count=count, classes=2)
    probabilities = _all_parts(features, labels, keys, 2)
    assert np.allclose(probabilities.sum(axis=1), 1.0)
