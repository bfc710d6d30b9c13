from __future__ import annotations

import unicodedata

import pytest

from datasets.splits import mixed_order, name_fraction, train_test_split

_CATS = [f"cat/{number}.jpg" for number in range(100)]
_DOGS = [f"dog/{number}.jpg" for number in range(10)]


@pytest.mark.parametrize(
    ("num_images", "test_fraction", "num_test"),
    # rounded, and never all or none of a class
    [(100, 0.3, 30), (10, 0.25, 3), (3, 0.3, 1), (2, 0.3, 1), (2, 0.99, 1), (5, 0.01, 1), (1000, 0.999, 999)],
)
def test_each_class_gives_its_share(num_images: int, test_fraction: float, num_test: int) -> None:
    names = [f"c/{number}" for number in range(num_images)]
    splits = train_test_split([names], test_fraction, seed=1, method="random")
    assert len(splits["test"][0]) == num_test
    assert sorted(splits["train"][0] + splits["test"][0]) == sorted(names)


def test_no_test_fraction_means_no_test_split() -> None:
    assert train_test_split([_CATS, _DOGS], 0, seed=1, method="random") == {"train": [_CATS, _DOGS]}


def test_the_random_split_is_the_same_on_every_machine() -> None:
    # A fixed answer: Python's own hash() and random shuffles differ between runs or versions.
    splits = train_test_split([_DOGS], 0.3, seed=7, method="random")
    assert sorted(splits["test"][0]) == ["dog/6.jpg", "dog/7.jpg", "dog/9.jpg"]


def test_the_random_split_does_not_hang_on_the_order_of_listing() -> None:
    forward = train_test_split([_CATS], 0.3, seed=1, method="random")
    backward = train_test_split([_CATS[::-1]], 0.3, seed=1, method="random")
    assert forward == backward


def test_another_seed_is_another_split() -> None:
    one, two = (train_test_split([_CATS], 0.3, seed, method="random") for seed in (1, 2))
    assert set(one["test"][0]) != set(two["test"][0])


def test_the_unicode_form_of_a_name_does_not_count() -> None:
    names = [f"é{number}" for number in range(50)]
    decomposed = [unicodedata.normalize("NFD", name) for name in names]
    one, two = (train_test_split([form], 0.3, seed=1, method="random")["test"][0] for form in (names, decomposed))
    assert one == [unicodedata.normalize("NFC", name) for name in two]


def test_with_filename_hash_an_image_stays_when_others_are_added() -> None:
    before = train_test_split([_CATS[:60]], 0.3, seed=1, method="filename_hash")
    after = train_test_split([_CATS], 0.3, seed=2, method="filename_hash")
    assert set(before["test"][0]) < set(after["test"][0])
    assert set(before["train"][0]) < set(after["train"][0])


def test_filename_hash_takes_about_the_share_asked_for() -> None:
    names = [f"c/{number}" for number in range(10_000)]
    splits = train_test_split([names], 0.3, seed=1, method="filename_hash")
    assert len(splits["test"][0]) == pytest.approx(3000, abs=150)  # three standard deviations


@pytest.mark.parametrize("method", ["random", "filename_hash"])
@pytest.mark.parametrize("test_fraction", [0.001, 0.999])
def test_every_class_has_an_image_in_both_splits(method: str, test_fraction: float) -> None:
    splits = train_test_split([_CATS, _DOGS, ["x/a", "x/b"]], test_fraction, seed=1, method=method)
    assert all(names for images in splits.values() for names in images)


def test_variants_of_a_picture_share_the_hash_of_its_name() -> None:
    assert name_fraction("rose/7_nohash_1.jpg") == name_fraction("rose/7_nohash_2.jpg")
    assert name_fraction("rose/7_nohash_1.jpg") != name_fraction("rose/8_nohash_1.jpg")


def test_the_hash_is_that_of_tf_hubs_retrain_script() -> None:
    # SHA-1 of the name, modulo 2**27, over 2**27 - 1; computed by hand with sha1sum.
    assert name_fraction("daisy/1.jpg") == pytest.approx(
        int("5a05a449f28585d6fc919c67164a8b86c3a7b33f", 16) % 2**27 / (2**27 - 1), abs=1e-12
    )


def test_a_split_is_written_in_an_order_that_mixes_the_classes() -> None:
    names, labels = mixed_order([_CATS, _DOGS], seed=1)
    assert sorted(names) == sorted(_CATS + _DOGS)
    assert all((label == 1) == name.startswith("dog") for name, label in zip(names, labels, strict=True))
    assert 0 < names.index(next(name for name in names if name.startswith("dog"))) < 100
    assert list(labels) != sorted(labels)


def test_the_order_follows_from_the_seed_alone() -> None:
    assert mixed_order([_CATS], seed=1) == mixed_order([_CATS[::-1]], seed=1)
    assert mixed_order([_CATS], seed=1) != mixed_order([_CATS], seed=2)
