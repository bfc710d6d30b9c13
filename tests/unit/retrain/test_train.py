from __future__ import annotations

from slim_train.retrain.train import stops


def test_steps_stop_at_multiples_of_each_interval_and_at_the_last():
    assert stops(12, 5, 4) == [0, 4, 5, 8, 10, 11]


def test_an_interval_of_zero_stops_nowhere():
    assert stops(5, 10, 0) == [0, 4]
