"""Color profiles (ICC): pixels of cameras and print shops as sRGB, which nets are trained on. No TensorFlow."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from PIL import Image

# What profiles are made for, by Pillow's mode of the image.
_SPACES = {"L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB", "PA": "RGB", "CMYK": "CMYK"}
# Levels of 255. Profiles that are called sRGB, and the way in which they are applied, differ by one or two.
_SAME_WITHIN = 3
_STEPS = (0, 51, 102, 153, 204, 255)
_MOST_KNOWN = 1000
_known: dict[tuple[bytes, str], bool] = {}


def is_srgb(image: Image.Image) -> bool:
    """Return whether an image looks the same in sRGB: it has no profile, or one that changes no color noticeably.

    A profile that is broken or made for another mode is not applied either.
    """
    profile, space = image.info.get("icc_profile"), _SPACES.get(image.mode)
    return not profile or space is None or _is_srgb(profile, space)


def in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return an image without its profile, in sRGB: CMYK as RGB, gray as gray.

    Args:
      image: of mode L, RGB or CMYK.
      profile: its ICC profile; if it is broken or made for another mode, the image is returned as it is.
    """
    return _converted(image, profile) or image


def _is_srgb(profile: bytes, space: str) -> bool:
    """Look a profile up by its digest: files of strangers may hold megabytes of it."""
    if space == "CMYK":
        return False
    key = hashlib.blake2b(profile, digest_size=16).digest(), space
    if key not in _known:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = _changes_no_color(profile, space)
    return _known[key]


def _changes_no_color(profile: bytes, space: str) -> bool:
    import numpy as np

    samples = np.array([_STEPS], np.uint8)
    if space == "RGB":
        samples = np.stack(np.meshgrid(_STEPS, _STEPS, _STEPS), -1).reshape(1, -1, 3).astype(np.uint8)
    image = Image.fromarray(samples)
    converted = _converted(image, profile)
    if converted is None:
        return True
    difference = np.asarray(converted).astype(int) - samples
    return bool(np.abs(difference).max() <= _SAME_WITHIN)


def _converted(image: Image.Image, profile: bytes) -> Any:
    """Return an image in sRGB; None if the profile does not fit it."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    assert converted is not None  # as always unless it is to happen in place
    converted = converted.convert("L") if image.mode == "L" else converted
    converted.info.pop("icc_profile", None)  # PNG would keep it
    return converted
