"""Splits that keep groups together."""

from __future__ import annotations

import pytest

from datasets.errors import DataError
from datasets.grouped_split import grouped_split
from datasets.splits import SPLIT_METHODS, train_test_split

CLASSES = ["cat", "dog"]


def _images(count: int) -> list[list[str]]:
    return [[f"{name}/{number}.jpg" for number in range(count)] for name in CLASSES]


def _parts(split: dict[str, list[list[str]]]) -> dict[str, set[str]]:
    return {part: {name for names in by_class for name in names} for part, by_class in split.items()}


@pytest.mark.parametrize("method", SPLIT_METHODS)
@pytest.mark.parametrize("fraction", [0, 0.3, 0.9])
def test_without_groups_it_is_the_usual_split(method: str, fraction: float) -> None:
    images = _images(40)
    usual = train_test_split(images, fraction, 7, method)
    grouped = grouped_split(CLASSES, images, {}, fraction, 7, method)
    assert {part: [sorted(names) for names in by_class] for part, by_class in grouped.items()} == {
        part: [sorted(names) for names in by_class] for part, by_class in usual.items()
    }


@pytest.mark.parametrize("method", SPLIT_METHODS)
def test_groups_over_classes_stay_together_and_classes_get_their_share(method: str) -> None:
    images = _images(200)
    group_of = {name: f"p{number // 5}" for names in images for number, name in enumerate(names)}
    split = grouped_split(CLASSES, images, group_of, 0.3, 0, method)
    groups = {part: {group_of[name] for name in names} for part, names in _parts(split).items()}
    assert not groups["train"] & groups["test"]
    assert sum(map(len, _parts(split).values())) == 400
    for names in split["test"]:
        assert 55 <= len(names) <= 65 if method == "random" else 20 <= len(names) <= 100


def test_a_group_of_nearly_all_images_stays_in_train() -> None:
    images = _images(20)
    group_of = {name: "big" for names in images for name in names[:18]}
    split = grouped_split(CLASSES, images, group_of, 0.3, 0, "random")
    assert [len(names) for names in split["train"]] == [18, 18]


@pytest.mark.parametrize("method", SPLIT_METHODS)
def test_each_class_has_an_image_in_both_splits(method: str) -> None:
    images = [["cat/0", "cat/1"], ["dog/0", "dog/1"]]
    for seed in range(10):
        split = grouped_split(CLASSES, images, {"cat/0": "a", "dog/0": "a"}, 0.3, seed, method)
        assert all(all(by_class) for by_class in split.values())


@pytest.mark.parametrize(
    ("group_of", "message"),
    [
        (
            {"dog/0": "a", "dog/1": "a"},
            "Class 'dog' cannot have .* train and test: all its images are in one",
        ),
        (dict.fromkeys(("cat/0", "cat/1", "dog/0", "dog/1"), "a"), "Class 'cat' cannot"),
    ],
)
def test_a_class_in_one_group_is_refused(group_of: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        grouped_split(CLASSES, [["cat/0", "cat/1"], ["dog/0", "dog/1"]], group_of, 0.3, 0, "random")
