"""Fingerprints of images."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from datasets.duplicates import fingerprints
from datasets.duplicates.fingerprints import BYTES, NEAR, PIXELS, check_imagehash, fingerprint
from datasets.errors import DataError
from datasets.images import ImageRejected


def _as_png(data: bytes, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_copy_in_another_format_has_other_bytes_and_equal_pixels(encoded: Callable[..., bytes]) -> None:
    one = encoded("PNG")
    other = _as_png(one) if _as_png(one) != one else encoded("BMP")
    assert fingerprint(one, BYTES) != fingerprint(other, BYTES)
    assert fingerprint(one, PIXELS).pixels == fingerprint(other, PIXELS).pixels


def test_gray_pixels_equal_the_same_pixels_as_color(encoded: Callable[..., bytes]) -> None:
    gray = encoded("PNG", "L")
    assert fingerprint(gray, PIXELS).pixels == fingerprint(_as_png(gray), PIXELS).pixels


def test_the_same_bytes_of_pixels_in_another_shape_are_another_image() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(2, 8, 3)
    images = [Image.fromarray(pixels), Image.fromarray(pixels.reshape(4, 4, 3))]
    encoded = []
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    assert fingerprint(encoded[0], PIXELS).pixels != fingerprint(encoded[1], PIXELS).pixels


def test_bytes_are_compared_without_decoding() -> None:
    assert fingerprint(b"no image", BYTES).pixels == ""
    with pytest.raises(ImageRejected):
        fingerprint(b"no image", PIXELS)


def test_a_resized_copy_has_nearly_the_same_hash_and_a_mirrored_one_has_not(
    picture: Callable[..., Image.Image],
) -> None:
    pytest.importorskip("imagehash")
    whole = picture(size=(120, 80)).rotate(20, expand=False)
    hashes = []
    for image in (whole, whole.resize((60, 40)), whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG")
        hashes.append(int(fingerprint(buffer.getvalue(), NEAR).near, 16))
    assert bin(hashes[0] ^ hashes[1]).count("1") <= 4
    assert bin(hashes[0] ^ hashes[2]).count("1") > 12


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"--duplicates=near requires ImageHash: pip install 'slim-train\[inspect\]'."):
        check_imagehash("--duplicates=near")
