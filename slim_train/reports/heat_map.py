"""Where a net looks, drawn over the image that it sees. No TensorFlow."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

# Cividis at 0, 1/8, ..., 1: dark blue to yellow, even in brightness, and the same to the color-blind
# (Nuñez, Anderton, Renslow 2018, https://doi.org/10.1371/journal.pone.0199239).
_COLORS = np.array(
    [
        (0, 34, 78),
        (18, 53, 112),
        (59, 73, 108),
        (87, 93, 109),
        (112, 113, 115),
        (138, 134, 120),
        (165, 156, 116),
        (195, 179, 105),
        (254, 232, 56),
    ],
    np.float32,
)
_LEAST_SIDE = 224  # pixels; faces of 48 pixels are enlarged
_STRENGTH = 0.65  # of the colors, beside the gray image


def heat_overlay(pixels: NDArray[np.float32], heat: NDArray[np.float32]) -> Image.Image:
    """Return the image in gray under the colors of its heat: dark blue is none, yellow the most in this image.

    Args:
      pixels: [height, width, 1 or 3]; values outside of 0..255 are stretched to it, whatever their range.
      heat: [rows, columns], 0 or more. All 0 is drawn as none.
    """
    seen = seen_image(pixels)
    gray = np.asarray(ImageOps.grayscale(seen), np.float32)[..., None]
    top = float(heat.max())
    share = Image.fromarray((heat / top if top > 0 else np.zeros_like(heat)).astype(np.float32))
    even = np.asarray(share.resize(seen.size, Image.Resampling.BILINEAR)).clip(0, 1)
    at = np.linspace(0, 1, len(_COLORS))
    colors = np.stack([np.interp(even, at, _COLORS[:, channel]) for channel in range(3)], axis=-1)
    return Image.fromarray((gray * (1 - _STRENGTH) + colors * _STRENGTH).round().astype(np.uint8))


def encode_jpeg(image: Image.Image) -> bytes:
    """Return the bytes of a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def seen_image(pixels: NDArray[np.float32]) -> Image.Image:
    """Return what the net sees as an RGB image of at least 224 pixels on the short side."""
    values = np.nan_to_num(pixels.astype(np.float32))
    low, high = float(values.min()), float(values.max())
    # Pixels stay as they are; what a recipe scaled, to -1..1 say, is stretched.
    if low < 0 or high > 255 or high <= 1:
        values = (values - low) * (255 / max(high - low, 1e-6))
    image = Image.fromarray(values.round().astype(np.uint8).repeat(3 // values.shape[2], axis=2))
    scale = max(1, _LEAST_SIDE / min(image.size))
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
