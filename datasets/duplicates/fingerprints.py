"""The fingerprint of an image: what it is compared by. No TensorFlow."""

from __future__ import annotations

import hashlib
import importlib.util
from typing import NamedTuple

from datasets.errors import DataError
from datasets.images import decode

# How images are compared. Images with equal bytes have equal pixels, and images with equal pixels equal hashes.
BYTES, PIXELS, NEAR = "bytes", "pixels", "near"
# What a net makes of them: it may find images alike that differ in pixels, such as two frames of a video.
FEATURES = "features"
LEVELS = (BYTES, PIXELS, NEAR, FEATURES)
# Of the perceptual hash.
HASH_BITS = 64
_DIGEST_BYTES = 16


class Fingerprint(NamedTuple):
    """What an image is compared by.

    Attributes:
      bytes: digest of the encoded image, in hex.
      pixels: digest of its size and decoded pixels, in hex; "" if only bytes are compared.
      near: perceptual hash of 64 bits, in hex; "" unless near-duplicates are looked for.
    """

    bytes: str
    pixels: str = ""
    near: str = ""


def fingerprint(data: bytes, level: str) -> Fingerprint:
    """Return the fingerprint of an encoded image.

    Gray pixels are compared as color. The perceptual hash is ImageHash's ``phash``: the signs of the lowest frequencies
    of the image in gray at 32x32 pixels (Zauner, 2010).

    Args:
      data: the encoded image.
      level: bytes, pixels or near. Each includes those before it.

    Raises:
      ImageRejected: the image cannot be decoded; not for ``bytes``.
    """
    of_bytes = _digest(data)
    if level == BYTES:
        return Fingerprint(of_bytes)
    pixels = decode(data)
    of_pixels = _digest(repr(pixels.shape).encode() + pixels.tobytes())
    if level == PIXELS:
        return Fingerprint(of_bytes, of_pixels)
    import imagehash
    from PIL import Image

    return Fingerprint(of_bytes, of_pixels, str(imagehash.phash(Image.fromarray(pixels))))


def check_imagehash(flag: str) -> None:
    """Check that the package for perceptual hashes is installed.

    Args:
      flag: that needs it, such as ``--duplicates=near``.

    Raises:
      DataError: it is not.
    """
    if importlib.util.find_spec("imagehash") is None:
        raise DataError(f"{flag} requires ImageHash: pip install 'slim-train[inspect]'.")


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
