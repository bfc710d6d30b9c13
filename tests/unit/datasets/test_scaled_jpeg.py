"""The ratio at which JPEGs are decoded."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from datasets.images import ImageRejected, check, decode, normalise, ratio_of
from datasets.scaled_jpeg import decoding_ratio


@pytest.mark.parametrize(
    ("image", "crop", "target", "ratio"),
    [
        ((3000, 4000), (2625, 3500), (224, 224), 4),  # 656 x 875 of at least 448; half of that is too little
        ((3000, 4000), (3000, 4000), (224, 224), 4),
        ((3000, 4000), (3584, 3584), (224, 224), 8),  # exactly twice
        ((3000, 4000), (3583, 3584), (224, 224), 4),
        ((3000, 4000), (300, 400), (224, 224), 1),  # a small random crop
        ((3000, 4000), (2625, 3500), (1024, 1024), 1),
        ((3000, 4000), (2625, 3500), (28, 28), 8),
        ((375, 500), (328, 437), (28, 28), 1),  # of a usual size: as ever
        ((1000, 1000), (1000, 1000), (224, 224), 2),
        ((999, 1001), (999, 1001), (224, 224), 1),  # a pixel short of a megapixel
    ],
)
def test_the_ratio_is_the_largest_that_leaves_the_crop_twice_the_size_of_the_net(
    image: tuple[int, int], crop: tuple[int, int], target: tuple[int, int], ratio: int
) -> None:
    assert decoding_ratio(image, crop, target) == ratio


def test_pillow_decodes_a_large_jpeg_smaller_and_any_other_image_in_full(photo: Callable[..., bytes]) -> None:
    large = photo(size=(1200, 900))
    whole, scaled = decode(large), decode(large, (224, 224))
    assert (whole.shape, scaled.shape) == ((900, 1200, 3), (450, 600, 3))
    halved = np.asarray(Image.fromarray(whole).reduce(2)).astype(int)
    assert np.abs(halved - scaled).mean() < 1
    assert decode(photo(size=(500, 375)), (28, 28)).shape == (375, 500, 3)
    assert decode(photo("PNG", size=(1200, 900)), (28, 28)).shape == (900, 1200, 3)
    assert (ratio_of(large, (224, 224)), ratio_of(photo("PNG"), (8, 8)), ratio_of(b"\xff\xd8", (8, 8))) == (2, 1, 1)


def test_a_photograph_on_its_side_is_scaled_by_what_it_is_upright(photo: Callable[..., bytes]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    on_its_side = photo(size=(2400, 600), exif=exif)
    assert decode(on_its_side, (600, 100)).shape == (1200, 300, 3)
    assert decode(on_its_side, (100, 600)).shape == (2400, 600, 3)
    image = normalise(on_its_side, (600, 100))
    assert (image.height, image.width) == Image.open(io.BytesIO(image.data)).size[::-1] == (1200, 300)
    assert normalise(on_its_side).height == 2400


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_verifying_a_large_jpeg_keeps_its_bytes_and_finds_that_it_is_truncated(
    photo: Callable[..., bytes], options: dict
) -> None:
    large = photo(size=(1200, 900), **options)
    image = normalise(large, (224, 224))
    assert (image.data, image.height, image.width) == (large, 900, 1200)
    assert (check(large).height, check(large).width) == (900, 1200)
    for verify in (normalise, check):
        with pytest.raises(ImageRejected, match="truncated"):
            verify(large[: len(large) * 2 // 3])
