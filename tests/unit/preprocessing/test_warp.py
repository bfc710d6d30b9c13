"""Affine maps of batches: where single bright pixels go."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.preprocessing.warp import warp
from slim_train.tf_compat import tf

SIZE = 21
MIDDLE = 10


def where_it_goes(row: int, column: int, **how: object) -> tuple[float, float]:
    """The centre of brightness after the warp of an image with one bright pixel."""
    pixels = np.zeros((1, SIZE, SIZE, 1), np.float32)
    pixels[0, row, column] = 1.0
    with tf.Graph().as_default(), tf.Session() as session:
        warped = session.run(warp(tf.constant(pixels), **how))[0, :, :, 0]
    rows, columns = np.indices(warped.shape)
    return (rows * warped).sum() / warped.sum(), (columns * warped).sum() / warped.sum()


@pytest.mark.parametrize(
    ("how", "row", "column"),
    [
        ({}, 6, 14),
        ({"angle": np.pi / 2}, 6, 6),  # up and right of the middle turns to up and left
        ({"scale": 1.5}, 4, 16),
        ({"shift_x": 2 / SIZE}, 6, 16),
        ({"shift_y": 2 / SIZE}, 8, 14),
        ({"shear_x": 0.5}, 6, 12),  # four rows above the middle: two columns to the left
        ({"shear_y": 0.5}, 8, 14),
        ({"mirror": True}, 6, 6),
        ({"shift_x": 2 / SIZE, "mirror": True}, 6, 4),
        ({"angle": np.pi / 2, "shift_x": 2 / SIZE}, 6, 8),
    ],
)
def test_a_pixel_goes_where_the_map_says(how: dict[str, object], row: float, column: float) -> None:
    assert where_it_goes(6, 14, **how) == pytest.approx((row, column), abs=0.01)


def test_a_shear_comes_before_a_rotation() -> None:
    assert where_it_goes(6, 14, shear_x=0.5, angle=np.pi / 2) == pytest.approx((MIDDLE - 2, MIDDLE - 4), abs=0.01)


def test_each_image_has_its_own_map() -> None:
    pixels = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        warped = session.run(warp(tf.constant(pixels), mirror=np.reshape([True, False], (2, 1, 1, 1))))
    np.testing.assert_allclose(warped[0], pixels[0, :, ::-1], atol=1e-5)
    np.testing.assert_allclose(warped[1], pixels[1], atol=1e-5)


@pytest.mark.parametrize(("fill", "seen"), [(None, 7.0), (3.0, 3.0)])
def test_beyond_the_border_there_is_the_border_or_the_fill(fill: float | None, seen: float) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        warped = session.run(warp(tf.fill([1, 8, 8, 1], 7.0), shift_x=0.5, fill=fill))
    assert (warped[0, :, :4] == seen).all() and (warped[0, :, 4:] == 7.0).all()
