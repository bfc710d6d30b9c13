from __future__ import annotations

import numpy as np

from slim_train.reports.heat_map import heat_overlay, seen_image


def test_the_hottest_place_is_yellow_and_the_others_blue() -> None:
    picture = np.full((64, 64, 3), 128, np.float32)
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 5
    drawn = np.asarray(heat_overlay(picture, heat)).astype(int)
    red, _, blue = drawn[5, -5]
    assert red > blue + 60
    red, _, blue = drawn[-5, 5]
    assert blue > red + 20


def test_no_heat_at_all_is_drawn_as_none() -> None:
    drawn = np.asarray(heat_overlay(np.zeros((8, 8, 1), np.float32), np.zeros((2, 2), np.float32)))
    assert np.ptp(drawn.reshape(-1, 3), axis=0).max() == 0


def test_small_images_are_enlarged_and_scaled_values_stretched() -> None:
    picture = np.linspace(-1, 1, 28 * 56, dtype=np.float32).reshape(28, 56, 1)
    seen = seen_image(picture)
    assert seen.size == (448, 224)
    low, high = seen.convert("L").getextrema()
    assert low < 3
    assert high > 252
