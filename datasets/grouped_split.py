"""Train and test so that groups of images stay together. No TensorFlow."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from datasets.errors import DataError
from datasets.splits import ImagesByClass, is_below, num_test, split_key, train_test_split


class _Group(NamedTuple):
    """Images that stay together, by label."""

    key: str
    names: dict[int, list[str]]


def grouped_split(
    classes: Sequence[str],
    images: ImagesByClass,
    group_of: Mapping[str, str],
    test_fraction: float,
    seed: int,
    method: str,
) -> dict[str, list[list[str]]]:
    """Divide images as :func:`datasets.splits.train_test_split` does, but keep each group in one split.

    ``random`` goes through the groups in a seeded order: a group is for test if that brings its classes nearer to their
    share. ``filename_hash`` takes the hash of the group, not of the name. Images that are a group by themselves are
    divided as without groups.

    Args:
      classes: class names by label.
      images: the images of each class.
      group_of: image -> its group; others are a group by themselves.
      test_fraction: share of each class for test.
      seed: of ``random``.
      method: random or filename_hash.

    Raises:
      DataError: a class cannot have an image in both splits.
    """
    if test_fraction == 0:
        return train_test_split(images, test_fraction, seed, method)
    groups = _groups(images, group_of)
    groups.sort(key=lambda group: split_key(group.key, seed, method))
    below = [sum(is_below(group_of.get(name, name), test_fraction, method) for name in names) for names in images]
    left = [num_test(len(names), some, test_fraction, method) for names, some in zip(images, below, strict=True)]
    test: list[_Group] = []
    train: list[_Group] = []
    for group in groups:
        gain = sum(abs(left[label]) - abs(left[label] - len(names)) for label, names in group.names.items())
        is_test = gain > 0 if method == "random" else is_below(group.key, test_fraction, method)
        (test if is_test else train).append(group)
        for label, names in group.names.items() if is_test else ():
            left[label] -= len(names)
    _fill(classes, train, test)
    _fill(classes, test, train)
    _check(classes, train, test)
    return {"train": _by_class(classes, train), "test": _by_class(classes, test)}


def _groups(images: ImagesByClass, group_of: Mapping[str, str]) -> list[_Group]:
    found: dict[tuple[bool, str], _Group] = {}
    for label, names in enumerate(images):
        for name in names:
            key = group_of.get(name, name)
            group = found.setdefault((name in group_of, key), _Group(key, {}))
            group.names.setdefault(label, []).append(name)
    return list(found.values())


def _fill(classes: Sequence[str], lender: list[_Group], borrower: list[_Group]) -> None:
    """Move a group for each class of which one split has nothing, from a split that keeps images of all its classes."""
    kept = collections.Counter(of for group in lender for of in group.names)
    there = _labels(borrower)
    for label in sorted(set(range(len(classes))) - there):
        if label in there:
            continue  # a group of several classes came with an earlier one
        lent = [group for group in lender if label in group.names and all(kept[of] > 1 for of in group.names)]
        if lent:
            group = min(lent, key=lambda group: sum(map(len, group.names.values())))
            lender.remove(group)
            borrower.append(group)
            there |= group.names.keys()
            kept.subtract(group.names.keys())


def _check(classes: Sequence[str], train: Sequence[_Group], test: Sequence[_Group]) -> None:
    in_both = _labels(train) & _labels(test)
    for label, class_name in enumerate(classes):
        if label not in in_both:
            count = sum(label in group.names for group in (*train, *test))
            what = "all its images are in one group" if count == 1 else f"its {count} groups hold other classes too"
            raise DataError(
                f"Class {class_name!r} cannot have images in both train and test: {what}. Add images of other groups, "
                "or keep all images for training with test_fraction=0."
            )


def _labels(groups: Sequence[_Group]) -> set[int]:
    return {label for group in groups for label in group.names}


def _by_class(classes: Sequence[str], groups: Sequence[_Group]) -> list[list[str]]:
    return [[name for group in groups for name in group.names.get(label, ())] for label in range(len(classes))]
