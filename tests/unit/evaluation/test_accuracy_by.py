"""Accuracy by the values of a column."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.evaluation.accuracy_by import AccuracyBy, Group
from slim_train.evaluation.calibration import wilson_interval


def groups_of(values, correct=None, **options):
    counter = AccuracyBy(**options)
    for value, is_correct in zip(values, correct or [True] * len(values), strict=True):
        counter.add(value, is_correct)
    return counter.groups()


def test_numbers_of_few_values_are_groups_in_ascending_order_with_their_wilson_interval():
    groups = groups_of(["9", "10", "9", "2019.0"], [True, False, False, True])
    assert groups == (Group("9", 2, 1), Group("10", 1, 0), Group("2019", 1, 1))
    assert groups[0].to_dict() == {
        "value": "9", "images": 2, "correct": 1, "accuracy": 0.5, "accuracy_interval": list(wilson_interval(1, 2)),
    }  # fmt: skip


def test_numbers_of_many_values_are_ranges_of_as_many_images_that_miss_none():
    random = np.random.default_rng(0)
    values = random.integers(0, 100_000, 8000)
    correct = [bool(value < 50_000) for value in values]
    groups = groups_of(values.tolist(), correct)
    assert len(groups) == 8
    assert sum(group.images for group in groups) == 8000
    assert all(abs(group.images - 1000) < 20 for group in groups)
    assert [group.correct for group in groups[5:]] == [0, 0, 0]
    assert groups[-1].value.endswith(f" to {values.max():,}")


def test_a_value_of_most_images_is_a_range_by_itself():
    groups = groups_of([48] * 900 + list(range(100, 200)))
    assert groups[0] == Group("48", 900, 900)
    assert sum(group.images for group in groups) == 1000


def test_texts_begin_with_the_most_images_and_the_rest_is_one_group():
    groups = groups_of(["b"] * 3 + ["a"] * 5 + [f"rare {number}" for number in range(30)])
    assert groups[:2] == (Group("a", 5, 5), Group("b", 3, 3))
    assert groups[20] == Group("12 other values", 12, 12)


def test_images_without_a_value_are_the_last_group_and_do_not_make_texts_of_numbers():
    assert groups_of(["", "2", "1"]) == (Group("1", 1, 1), Group("2", 1, 1), Group("no value", 1, 1))


@pytest.mark.parametrize("missing", ["nan", "NaN", "inf", "1e999"])
def test_numbers_that_are_not_finite_are_no_value(missing):
    assert groups_of([missing, "2", "", "1"]) == (Group("1", 1, 1), Group("2", 1, 1), Group("no value", 2, 2))
    assert len(groups_of([missing, *(number / 7 for number in range(5000))])) == 9


def test_what_is_not_finite_among_texts_is_a_text():
    assert [group.value for group in groups_of(["nan", "1", "camera"])] == ["1", "camera", "nan"]


@pytest.mark.parametrize("code", ["00000", "007", "-01", "1_000", "0012.5"])
def test_codes_are_texts(code):
    assert groups_of([code, "12"]) == tuple(Group(value, 1, 1) for value in sorted([code, "12"]))


def test_a_number_below_1_is_no_code():
    assert [group.value for group in groups_of(["0.5", "0", "-0.25", "1e3", ".75"])] == [
        "-0.25",
        "0",
        "0.5",
        "0.75",
        "1000",
    ]


def test_memory_is_bounded_numbers_are_rounded_and_names_are_given_up():
    numbers = groups_of([1000 + number / 7 for number in range(3000)], most_values=500)
    assert sum(group.images for group in numbers) == 3000
    assert groups_of([f"image {number}" for number in range(3000)], most_values=500) == ()
