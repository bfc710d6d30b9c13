from __future__ import annotations

import hashlib

import pytest

from slim_train.errors import UsageError
from slim_train.retraining.split import TESTING, TRAINING, VALIDATION, split_images


def names(count: int, class_name: str = "cats") -> list[str]:
    return [f"{class_name}/{number}.jpg" for number in range(count)]


def percentage(name: str) -> float:
    """As the retrain script computes it."""
    return int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2**27 * (100.0 / (2**27 - 1))


def part_of(split, name):
    return next(part for part, by_class in split.parts.items() if any(name in of for of in by_class))


def test_the_hash_of_a_name_says_where_it_goes():
    images = names(400)
    split = split_images(["cats"], [images], validation_percentage=10, testing_percentage=20)
    for name in images:
        expected = VALIDATION if percentage(name) < 10 else TESTING if percentage(name) < 30 else TRAINING
        assert part_of(split, name) == expected
    assert split.moved == ()


def test_a_picture_stays_where_it_is_when_others_come_and_go():
    few = split_images(["cats"], [names(400)[::2]], 10, 10)
    many = split_images(["cats"], [names(400)], 10, 10)
    assert [part_of(few, name) for name in names(400)[::2]] == [part_of(many, name) for name in names(400)[::2]]


def test_pictures_that_differ_after_nohash_stay_together():
    leaves = [f"oak/leaf{leaf}_nohash_{view}.jpg" for leaf in range(30) for view in range(3)]
    split = split_images(["oak"], [leaves], 20, 20)
    for leaf in range(30):
        assert len({part_of(split, f"oak/leaf{leaf}_nohash_{view}.jpg") for view in range(3)}) == 1


def test_a_class_the_hash_leaves_without_a_part_lends_it_the_nearest_picture():
    images = sorted(names(400), key=percentage)
    without_validation = [name for name in images if percentage(name) >= 10][::10]
    split = split_images(["cats"], [without_validation], 10, 10)
    (moved,) = split.moved
    assert (moved.names, moved.part) == ((without_validation[0],), VALIDATION)
    assert split.parts[VALIDATION] == [[without_validation[0]]]
    assert without_validation[0] not in split.parts[TESTING][0]


def test_no_part_is_emptied_to_fill_another():
    images = sorted(names(400), key=percentage)
    in_testing = [name for name in images if 10 <= percentage(name) < 20][:1]
    in_training = [name for name in images if percentage(name) >= 20][:2]
    split = split_images(["cats"], [in_testing + in_training], 10, 10)
    assert {part: of for part, (of,) in split.parts.items()} == {
        VALIDATION: in_training[:1],
        TESTING: in_testing,
        TRAINING: in_training[1:],
    }


def test_relatives_are_moved_together():
    names_by_hash = sorted((f"cats/{number}" for number in range(400)), key=percentage)
    nearest, *others = [name for name in names_by_hash if percentage(name) >= 10][::10]
    relatives = [f"{nearest}_nohash_{view}.jpg" for view in range(3)]
    split = split_images(["cats"], [[*relatives, *others]], 10, 10)
    assert split.parts[VALIDATION] == [relatives]
    assert [moved.names for moved in split.moved] == [tuple(relatives)]


def test_a_part_of_zero_percent_stays_empty():
    split = split_images(["cats"], [names(5)], 0, 20)
    assert split.parts[VALIDATION] == [[]]
    assert sum(len(of) for (of,) in split.parts.values()) == 5


def test_a_class_of_too_few_pictures_is_named():
    with pytest.raises(UsageError, match="'dogs' has 2 images.*validation, testing, training"):
        split_images(["cats", "dogs"], [names(30), names(2, "dogs")], 10, 10)
