"""Counts of confused classes, for few classes and for very many."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.evaluation import confusion
from slim_train.evaluation.confusion import Confusion


def _of(num_classes: int, *pairs: tuple[int, int]) -> Confusion:
    counts = Confusion(num_classes)
    for true, predicted in pairs:
        counts.add(np.array([true]), np.array([predicted]))
    return counts


def test_the_matrix_has_a_row_for_each_true_class() -> None:
    assert _of(3, (0, 1), (0, 1), (2, 2)).copy().matrix() is not None
    assert _of(3, (0, 1), (0, 1), (2, 2)).to_dict() == {"confusion_matrix": [[0, 2, 0], [0, 0, 0], [0, 0, 1]]}


def test_very_many_classes_have_pairs_instead() -> None:
    counts = _of(21_843, (21_842, 0), (5, 5), (21_842, 0))
    assert counts.matrix() is None
    assert counts.to_dict() == {"confusion_pairs": [[5, 5, 1], [21_842, 0, 2]]}
    assert counts.support[21_842] == counts.predicted[0] == 2
    assert (counts.correct.sum(), counts.correct[5]) == (1, 1)


def test_counts_are_those_of_the_dense_matrix_however_they_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confusion, "_CODES_PER_MERGE", 50)
    random = np.random.default_rng(0)
    true, predicted = random.integers(0, 40, (2, 1000))
    counts, expected = Confusion(40), np.zeros((40, 40), np.int64)
    for begin in range(0, 1000, 30):
        counts.add(true[begin : begin + 30], predicted[begin : begin + 30])
    np.add.at(expected, (true, predicted), 1)
    np.testing.assert_array_equal(counts.matrix(), expected)
    np.testing.assert_array_equal(counts.support, expected.sum(axis=1))
    np.testing.assert_array_equal(counts.predicted, expected.sum(axis=0))
    np.testing.assert_array_equal(counts.correct, expected.diagonal())


def test_a_copy_stays_as_it_is() -> None:
    counts = _of(3, (0, 1))
    copy = counts.copy()
    counts.add(np.array([0]), np.array([1]))
    assert (copy.pairs.tolist(), counts.pairs.tolist()) == ([[0, 1, 1]], [[0, 1, 2]])


def test_the_worst_classes_are_those_of_the_most_frequent_confusions() -> None:
    pairs = [(900, 7)] * 3 + [(7, 900)] + [(4, 4)] * 9 + [(30, 40)] * 2 + [(50, 60)] + [(900, 1)] * 5
    worst = _of(1000, *pairs).worst(5)
    assert worst.classes.tolist() == [1, 7, 30, 40, 900]
    assert worst.matrix[4].tolist() == [5, 3, 0, 0, 0]
    assert worst.support.tolist() == [0, 1, 2, 0, 8]


def test_without_confusions_the_first_classes_are_shown() -> None:
    assert _of(1000, (999, 999)).worst(3).classes.tolist() == [0, 1, 2]
