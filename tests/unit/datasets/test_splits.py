from __future__ import annotations

import pytest

from datasets.splits import name_fraction, num_test


@pytest.mark.parametrize(
    ("num_images", "test_fraction", "expected"),
    # rounded, and never all or none of a class
    [(100, 0.3, 30), (10, 0.25, 3), (3, 0.3, 1), (2, 0.3, 1), (2, 0.99, 1), (5, 0.01, 1), (1000, 0.999, 999)],
)
def test_each_class_gives_its_share(num_images: int, test_fraction: float, expected: int) -> None:
    assert num_test(num_images, 0, test_fraction, "random") == expected


def test_variants_of_a_picture_share_the_hash_of_its_name() -> None:
    assert name_fraction("rose/7_nohash_1.jpg") == name_fraction("rose/7_nohash_2.jpg")
    assert name_fraction("rose/7_nohash_1.jpg") != name_fraction("rose/8_nohash_1.jpg")


def test_the_hash_is_that_of_tf_hubs_retrain_script() -> None:
    # SHA-1 of the name, modulo 2**27, over 2**27 - 1; computed by hand with sha1sum.
    assert name_fraction("daisy/1.jpg") == pytest.approx(
        int("5a05a449f28585d6fc919c67164a8b86c3a7b33f", 16) % 2**27 / (2**27 - 1), abs=1e-12
    )
