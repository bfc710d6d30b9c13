"""Accuracy by the values of a column, such as the size of an image or the camera that took it. No TensorFlow."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from slim_train.evaluation.calibration import wilson_interval

# Numbers of fewer different values are groups as they are, such as years or ratings.
_MOST_NUMBERS = 10
_NUM_BINS = 8
_MOST_TEXTS = 20
# Of one column. Numbers beyond are rounded, texts beyond are names of images rather than of groups.
MOST_VALUES = 100_000
_DIGITS = 3
# Digits that are a name: with leading zeros, or with an underscore, which Python reads as a number.
_CODE = re.compile(r"[+-]?0\d|.*_")


@dataclasses.dataclass(frozen=True)
class Group:
    """Images that are alike in a column.

    Attributes:
      value: the text, the number, or the range of numbers.
      images: how many.
      correct: how many of them are right.
    """

    value: str
    images: int
    correct: int

    @property
    def accuracy(self) -> float:
        """Share of the images that are right."""
        return self.correct / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% Wilson score interval of the accuracy."""
        return wilson_interval(self.correct, self.images)

    def to_dict(self) -> dict[str, Any]:
        """Return the values as eval_<split>.json holds them."""
        values = dataclasses.asdict(self)
        return values | {"accuracy": self.accuracy, "accuracy_interval": list(self.interval)}


class AccuracyBy:
    """Counts images by the value of one column, in memory that follows its different values.

    Args:
      most_values: different values that are counted.
    """

    def __init__(self, most_values: int = MOST_VALUES) -> None:
        self._most = most_values
        self._counts: dict[str | float, list[int]] = {}
        self._rounds = self._is_full = False

    def add(self, value: str | float, is_correct: bool) -> None:
        """Count an image. The empty text stands for no value."""
        if self._is_full:
            return
        count = self._counts.setdefault(self._kept(value), [0, 0])
        count[0] += 1
        count[1] += is_correct
        if len(self._counts) > self._most:
            self._shrink()

    def groups(self) -> tuple[Group, ...]:
        """Return the groups; numbers of many values in at most 8 ranges of about as many images each.

        A column is one of numbers if all its values are. Those that are not finite count as no value.
        Ranges and numbers are in ascending order. Texts begin with the most images; beyond 20 the rest is one group.
        There are no groups if texts have too many different values.
        """
        if self._is_full:
            return ()
        counts = {value: (count[0], count[1]) for value, count in self._counts.items()}
        missing = counts.pop("", (0, 0))
        numbers = _as_numbers(counts)
        if numbers is None:
            found = _text_groups(counts)
        else:
            missing = _sum([missing, numbers.pop(math.nan, (0, 0))])
            found = _number_groups(numbers)
        return (*found, *([Group("no value", *missing)] if missing[0] else []))

    def _kept(self, value: str | float) -> str | float:
        return rounded(value) if self._rounds else value

    def _shrink(self) -> None:
        if self._rounds:
            self._is_full = True
            return
        self._rounds = True
        counts, self._counts = self._counts, {}
        for value, (images, correct) in counts.items():
            count = self._counts.setdefault(self._kept(value), [0, 0])
            count[0] += images
            count[1] += correct
        self._is_full = len(self._counts) > self._most


def rounded(value: str | float) -> str | float:
    """Return a number with three digits; a text, and a number that is not finite, as it is."""
    number = _number(value)
    return value if number is None or not math.isfinite(number) else float(f"{number:.{_DIGITS}g}")


def _number(value: str | float) -> float | None:
    """Return a number, which may not be finite; None for a text."""
    if isinstance(value, str) and _CODE.match(value):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _as_numbers(counts: Mapping[str | float, tuple[int, int]]) -> dict[float, tuple[int, int]] | None:
    """Return counts by number, with ``math.nan`` for all that are not finite; None if a value is no number."""
    numbers: dict[float, tuple[int, int]] = {}
    for value, count in counts.items():
        number = _number(value)
        if number is None:
            return None
        number = number if math.isfinite(number) else math.nan
        numbers[number] = _sum([numbers.get(number, (0, 0)), count])
    return numbers


def _sum(counts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    images, correct = zip(*counts, strict=True)
    return sum(images), sum(correct)


def _number_groups(counts: Mapping[float, tuple[int, int]]) -> list[Group]:
    values = np.array(sorted(counts))
    images, correct = np.array([counts[value] for value in values.tolist()], np.int64).reshape(-1, 2).T
    if len(values) <= _MOST_NUMBERS:
        return [Group(_shown(value), *counts[value]) for value in values.tolist()]
    # A value lies in the bin that the middle of its images falls into.
    middles = np.cumsum(images) - images / 2
    bins = (middles * _NUM_BINS / images.sum()).astype(np.int64).clip(0, _NUM_BINS - 1)
    groups = []
    for number in np.unique(bins):
        inside = bins == number
        low, high = values[inside][0], values[inside][-1]
        name = _shown(low) if low == high else f"{_shown(low)} to {_shown(high)}"
        groups.append(Group(name, int(images[inside].sum()), int(correct[inside].sum())))
    return groups


def _text_groups(counts: Mapping[str | float, tuple[int, int]]) -> list[Group]:
    order = sorted(counts, key=lambda value: (-counts[value][0], str(value)))
    groups = [Group(_shown(value), *counts[value]) for value in order[:_MOST_TEXTS]]
    rest: Sequence[str | float] = order[_MOST_TEXTS:]
    if rest:
        groups.append(Group(f"{len(rest):,} other values", *_sum(counts[value] for value in rest)))
    return groups


def _shown(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"  # a year has no comma
    return f"{value:.6g}"
