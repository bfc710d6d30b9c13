"""Typical and unusual images of classes."""

from __future__ import annotations

import numpy as np

from slim_train.bulk.typical_images import directions, likeness_to_class, typical_and_unusual


def test_an_outlier_is_the_most_unusual_of_its_class() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    features = (np.array([[1, 0, 0, 0], [0, 1, 0, 0]])[labels] * 9 + random.standard_normal((40, 4))).astype(np.float32)
    features[6] = [-9, 9, 9, 0]
    likeness = likeness_to_class(directions(features), labels)
    typical, unusual = typical_and_unusual(likeness, labels, [bytes([n]) for n in range(40)], [(0, 3), (1, 2)])
    assert unusual[0] == 6
    assert labels[typical].tolist() == labels[unusual].tolist() == [0, 0, 0, 1, 1]
    assert likeness[typical[:3]].min() >= likeness[unusual[:3]].max()


def test_copies_count_once_and_few_images_are_not_shown_twice() -> None:
    likeness, labels = np.array([0.9, 0.9, 0.5, 0.1]), np.zeros(4, np.int64)
    keys = [b"a", b"a", b"b", b"c"]
    assert typical_and_unusual(likeness, labels, keys, [(0, 1)]) == ([0], [3])
    assert typical_and_unusual(likeness, labels, keys, [(0, 2)]) == ([0, 2], [3])
    assert typical_and_unusual(likeness, labels, keys, [(0, 5)]) == ([0, 2, 3], [])


def test_equal_features_are_all_alike() -> None:
    assert likeness_to_class(directions(np.ones((3, 2), np.float32)), np.zeros(3, np.int64)).tolist() == [0, 0, 0]
