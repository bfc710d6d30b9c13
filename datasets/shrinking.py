"""Photographs made smaller while they are converted: decoded once, upright, in sRGB. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from datasets import images
from datasets.errors import DataError
from datasets.images import EncodedImage

# Formats of cameras, which are lossy as JPEG is. All others become PNG.
_BECOME_JPEG = ("HEIF", "AVIF")
# How far reduce() may go ahead of the filter: beyond 3 the result cannot be told from the filter's alone.
_REDUCING_GAP = 3.0


@dataclass(frozen=True)
class Shrinking:
    """How images are made smaller.

    Attributes:
      max_side: pixels of the long side of the result; images that are no larger stay as they are.
      jpeg_quality: of JPEGs that are encoded again, 1 to 100.

    Raises:
      DataError: a value is out of range.
    """

    max_side: int
    jpeg_quality: int = 92

    def __post_init__(self) -> None:
        if self.max_side < 1:
            raise DataError(f"max_image_side={self.max_side} must be at least 1.")
        if not 1 <= self.jpeg_quality <= 100:
            raise DataError(f"jpeg_quality={self.jpeg_quality} must be from 1 to 100.")


def shrunk(data: bytes, shrinking: Shrinking) -> EncodedImage:
    """Return one file's bytes as a record holds them, made smaller if they are larger than ``max_side``.

    A larger image is decoded once, a JPEG at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that is not below
    ``max_side``, resized with a Lanczos filter, turned upright and converted to sRGB from its color profile. JPEG, HEIF
    and AVIF become JPEG, other formats PNG.

    Raises:
      ImageRejected: the bytes are no whole image; for the same reasons as :func:`datasets.images.normalise`.
    """
    if max(images.size_of(data)) <= shrinking.max_side:
        return images.normalise(data)
    with images.decoded(data, shrinking.max_side) as image:
        small = _resized(images.upright_srgb(image), shrinking.max_side)
        if images.is_jpeg(image) or image.format in _BECOME_JPEG:
            return images.encode(small, "JPEG", quality=shrinking.jpeg_quality)
        return images.encode(small, "PNG")


def _resized(image: Image.Image, max_side: int) -> Image.Image:
    scale = max_side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    resized = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    resized.info = {}  # no profile or transparency of before, which PNG would keep
    return resized
