"""Photographs that are made smaller while they are converted."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from datasets.errors import DataError
from datasets.images import EncodedImage, ImageRejected
from datasets.shrinking import Shrinking, shrunk


def _opened(image: EncodedImage) -> Image.Image:
    return Image.open(io.BytesIO(image.data))


@pytest.mark.parametrize(
    ("image_format", "mode", "becomes"),
    [("JPEG", "RGB", "JPEG"), ("JPEG", "L", "JPEG"), ("JPEG", "CMYK", "JPEG"), ("PNG", "RGB", "PNG"),
     ("PNG", "RGBA", "PNG"), ("PNG", "P", "PNG"), ("PNG", "1", "PNG"), ("BMP", "RGB", "PNG")],
)  # fmt: skip
def test_a_large_image_gets_the_long_side_asked_for(
    photo: Callable[..., bytes], image_format: str, mode: str, becomes: str
) -> None:
    image = shrunk(photo(image_format, size=(400, 300), mode=mode), Shrinking(100))
    opened = _opened(image)
    assert (image.format, image.height, image.width) == (becomes.lower(), 75, 100)
    assert (opened.format, opened.size, opened.mode) == (becomes, (100, 75), "L" if mode in ("L", "1") else "RGB")


def test_an_image_that_is_no_larger_stays_byte_for_byte(photo: Callable[..., bytes]) -> None:
    for data in (photo(size=(100, 80)), photo("PNG", size=(80, 100))):
        assert shrunk(data, Shrinking(100)).data == data


def test_a_shrunk_photograph_looks_like_the_whole_one_and_its_quality_is_as_asked(photo: Callable[..., bytes]) -> None:
    data = photo(size=(1300, 900), quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).resize((300, 208), Image.Resampling.BOX)).astype(int)
    fine, coarse = shrunk(data, Shrinking(300, 95)), shrunk(data, Shrinking(300, 20))
    assert np.abs(np.asarray(_opened(fine)).astype(int) - expected).mean() < 2
    assert len(coarse.data) < len(fine.data)


def test_orientation_is_applied(photo: Callable[..., bytes]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright, turned = (_opened(shrunk(photo(size=(400, 200), **more), Shrinking(100))) for more in ({}, {"exif": exif}))
    assert (turned.size, turned.getexif().get(0x0112)) == ((50, 100), None)
    difference = np.asarray(upright.rotate(-90, expand=True)).astype(int) - np.asarray(turned)
    assert np.abs(difference).mean() < 3


def _profile_of_swapped_channels() -> bytes:
    """The sRGB profile with red and blue exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"xxxx", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"xxxx", b"bXYZ", 1)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_the_color_profile_is_applied_and_a_broken_one_ignored(image_format: str) -> None:
    def shrunk_color(profile: bytes) -> list[int]:
        buffer = io.BytesIO()
        Image.new("RGB", (400, 300), (200, 40, 90)).save(buffer, image_format, icc_profile=profile)
        result = _opened(shrunk(buffer.getvalue(), Shrinking(100)))
        assert "icc_profile" not in result.info
        return np.asarray(result).reshape(-1, 3).mean(0).round().tolist()

    np.testing.assert_allclose(shrunk_color(_profile_of_swapped_channels()), (90, 40, 200), atol=4)
    np.testing.assert_allclose(shrunk_color(b"broken"), (200, 40, 90), atol=4)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_truncated_image_is_rejected(photo: Callable[..., bytes], image_format: str) -> None:
    data = photo(image_format, size=(400, 300))
    with pytest.raises(ImageRejected, match="truncated"):
        shrunk(data[: len(data) // 2], Shrinking(100))


@pytest.mark.parametrize(
    ("values", "words"), [((0,), "max_image_side=0"), ((9, 0), "jpeg_quality=0"), ((9, 101), "jpeg_quality=101")]
)
def test_values_out_of_range_are_refused(values: tuple[int, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Shrinking(*values)
