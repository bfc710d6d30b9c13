"""Random erasing, measured on images without a zero."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.preprocessing.erasing import erase_rectangles
from slim_train.tf_compat import tf

BATCH, SIZE = 1000, 64


def erased(chance: float, channels: int = 1, seed: int = 1) -> np.ndarray:
    """Which pixels are blank, bool [BATCH, SIZE, SIZE, channels]."""
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(erase_rectangles(tf.ones([BATCH, SIZE, SIZE, channels]), [seed, 2], chance)) == 0


@pytest.mark.parametrize("chance", [0.25, 1.0])
def test_as_many_images_are_erased_as_the_chance_says(chance: float) -> None:
    assert erased(chance).any(axis=(1, 2, 3)).mean() == pytest.approx(chance, abs=0.05)


def test_a_rectangle_has_a_fiftieth_to_a_third_of_the_area_and_any_shape() -> None:
    blank = erased(1.0)[..., 0]
    rows, columns = blank.any(axis=2), blank.any(axis=1)
    np.testing.assert_array_equal(blank, rows[:, :, np.newaxis] & columns[:, np.newaxis])
    area = blank.mean(axis=(1, 2))
    assert 0.015 < area.min() < 0.03 and 0.32 < area.max() < 0.35
    assert area.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.01)
    shape = rows.sum(axis=1) / columns.sum(axis=1)
    assert shape.min() < 0.4 and shape.max() > 2.5
    assert np.median(shape) == pytest.approx(1.0, abs=0.15)


def test_rectangles_come_near_every_corner_and_blank_all_channels_alike() -> None:
    blank = erased(1.0, channels=3)
    assert blank[:, 3:-3, 3:-3].any(axis=0).all()
    np.testing.assert_array_equal(blank[..., 0], blank[..., 2])


def test_the_seed_decides() -> None:
    np.testing.assert_array_equal(erased(0.5), erased(0.5))
    assert not np.array_equal(erased(0.5), erased(0.5, seed=3))
