from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from datasets import color_profile, images

# Red, green and blue of Display P3 in XYZ, adapted to D50 as profiles are.
DISPLAY_P3 = {
    b"rXYZ": (0.51512, 0.2412, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.1571, 0.06657, 0.78407),
}


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def display_p3_profile() -> bytes:
    """The profile of iPhones and Macs: the tone curve of sRGB, and primaries of its own."""
    profile = bytearray(srgb_profile())
    (count,) = struct.unpack_from(">I", profile, 128)
    for tag in range(count):
        signature, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * tag)
        if signature in DISPLAY_P3:
            fixed = [round(value * 65536) for value in DISPLAY_P3[signature]]
            struct.pack_into(">3i", profile, offset + 8, *fixed)
    return bytes(profile)


def encoded(color: tuple[int, ...], mode: str, image_format: str, profile: bytes | None, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (40, 30), color).save(buffer, image_format, icc_profile=profile, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("image_format", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGB")])
def test_wide_colors_become_srgb(image_format: str, mode: str) -> None:
    color = (200, 100, 60, 255)[: len(mode)]
    data = encoded(
        color, mode, image_format, display_p3_profile(), **({"lossless": True} if image_format == "WEBP" else {})
    )
    # By the matrices of both spaces: linear light, P3 to XYZ to sRGB.
    expected = (215, 96, 48)
    np.testing.assert_allclose(images.decode(data)[5, 5], expected, atol=4)
    stored = Image.open(io.BytesIO(images.normalise(data).data))
    np.testing.assert_allclose(stored.getpixel((5, 5))[:3], expected, atol=4)
    assert "icc_profile" not in stored.info


@pytest.mark.parametrize("profile", [None, srgb_profile(), b"no profile at all" * 20], ids=["none", "srgb", "broken"])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_images_in_srgb_are_kept_byte_for_byte(profile: bytes | None, image_format: str) -> None:
    data = encoded((200, 100, 60), "RGB", image_format, profile)
    assert images.normalise(data).data == data


def test_a_profile_of_another_mode_is_ignored() -> None:
    data = encoded((120,), "L", "JPEG", display_p3_profile())
    assert images.normalise(data).data == data
    np.testing.assert_allclose(images.decode(data)[5, 5], 120, atol=1)


def test_gray_stays_gray() -> None:
    image = Image.new("L", (4, 4), 100)
    converted = color_profile.in_srgb(image, gray_profile(gamma=1.0))
    assert converted.mode == "L"
    # Half of linear light is far brighter than half of sRGB.
    assert converted.getpixel((0, 0)) == pytest.approx(255 * (1.055 * (100 / 255) ** (1 / 2.4) - 0.055), abs=2)


def gray_profile(gamma: float) -> bytes:
    """A gray profile of version 2 with a gamma curve."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = [(b"wtpt", white), (b"kTRC", curve)]
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for signature, data in tags:
        table += struct.pack(">4sII", signature, offset + len(body), len(data))
        body += data
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body
