from __future__ import annotations

import numpy as np

from slim_train.retraining.samples import Samples


def test_classes_are_drawn_equally_often_whatever_their_sizes():
    samples = Samples([[0], range(1, 1000)])
    drawn = samples.draw(10000, np.random.default_rng(0))
    assert 0.47 < (drawn == 0).mean() < 0.53
    assert len(np.unique(drawn)) > 900


def test_numbers_are_drawn_in_any_shape():
    drawn = Samples([[4, 9], [7]]).draw((50, 3), np.random.default_rng(0))
    assert drawn.shape == (50, 3)
    assert set(drawn.ravel().tolist()) == {4, 7, 9}


def test_some_are_taken_at_most_once():
    samples = Samples([range(10), range(10, 30)])
    some = samples.some(12, np.random.default_rng(0))
    assert len(set(some.tolist())) == 12


def test_all_are_taken_for_minus_one_or_more_than_there_are():
    samples = Samples([[5, 3], [8]])
    for count in (-1, 3, 100):
        assert samples.some(count, np.random.default_rng(0)).tolist() == [5, 3, 8]
