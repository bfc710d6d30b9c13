"""The check of an export."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from slim_train.exporting.check import compare, images_of_data_set, made_images


def test_the_difference_is_that_of_the_worst_probability_and_the_likeliest_class() -> None:
    expected = np.array([[0.6, 0.4, 0.0], [0.3, 0.7, 0.0], [0.4, 0.3, 0.3]], np.float32)
    answers = np.array([[0.3, 0.55, 0.15], [0.35, 0.65, 0.0], [0.4, 0.3, 0.3]], np.float32)
    difference = compare(answers, expected)
    assert difference.largest == pytest.approx(0.3, abs=1e-6)
    assert (difference.same_best, difference.pictures) == (2, 3)


def test_pictures_are_made_that_differ_and_are_the_same_every_time() -> None:
    pictures = made_images(3)
    assert len(set(pictures)) == 3
    assert pictures == made_images(3)
    assert Image.open(io.BytesIO(pictures[0])).size == (256, 256)


@pytest.mark.parametrize("folder", [None, "gone"])
def test_a_data_set_that_is_gone_gives_no_pictures(folder: str | None) -> None:
    assert images_of_data_set("flowers", folder, 3) == []
