"""Images that come as nested lists of numbers."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train.serving.errors import RequestError
from slim_train.serving.pixels import encode_pixels


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_arrive_as_they_were_sent(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels))
    decoded = np.asarray(Image.open(io.BytesIO(encode_pixels(pixels.tolist(), "instances[0]"))))
    np.testing.assert_array_equal(decoded.reshape(pixels.shape), pixels)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ([[[0.0, 1.0, 0.5]]], "has fractions: send the pixels as they are"),
        ([[[0, 0, 256]]], "has values from 0 to 256"),
        ([[[-1, 0, 0]]], "has values from -1 to 0"),
        ([[[10**30, 0, 0]]], "is not an image"),
        ([[[0, 0, 0]], [[0, 0, 0], [0, 0, 0]]], "is not an image"),
        ([[[True, False, True]]], "is not an image"),
        ([[["a", "b", "c"]]], "is not an image"),
        ([[0, 1], [2, 3]], "is not an image"),
        ([[[0, 0]]], "is not an image"),
        ([[[None, 0, 0]]], "is not an image"),
        ([], "is not an image"),
        ([[]], "is not an image"),
    ],
)
def test_other_numbers_and_shapes_are_refused(pixels: Any, message: str) -> None:
    with pytest.raises(RequestError, match=rf"instances\[0\] {message}.* whole numbers from 0 to 255") as refused:
        encode_pixels(pixels, "instances[0]")
    assert refused.value.status == 400
