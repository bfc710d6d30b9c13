"""Images that must not be decoded."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from slim_train.serving.errors import RequestError
from slim_train.serving.servable import check_image_size, plain_image


def png_of_zeros(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes for so many pixels that decoding them would take gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(8000, 8000), (50_000, 50_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    with pytest.raises(RequestError, match="too large: at most 50") as refused:
        check_image_size(png_of_zeros(width, height), 50)
    assert refused.value.status == 413


def test_a_bomb_that_looks_like_a_smaller_picture_of_another_format_is_refused() -> None:
    # All of Pillow's formats together take these four bytes at this place for a PhotoCD of 768 x 512.
    buffer = io.BytesIO()
    profile = bytes(2010) + b"PCD_" + bytes(2000)
    Image.new("L", (1500, 1000)).save(buffer, "WEBP", lossless=True, quality=0, method=0, icc_profile=profile)
    with pytest.raises(RequestError, match="has 2 megapixels"):
        check_image_size(buffer.getvalue(), 1.0)


def test_a_format_that_is_not_decoded_is_no_picture_whatever_its_size() -> None:
    check_image_size(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90000 90000\n%%EndComments\n", 1.0)


def test_a_picture_within_the_limit_passes(photo: Callable[..., bytes]) -> None:
    check_image_size(photo(size=(1000, 1000)), 1.0)
    with pytest.raises(RequestError):
        check_image_size(photo(size=(1001, 1000)), 1.0)


def test_what_is_no_picture_is_left_to_the_decoder() -> None:
    check_image_size(b"plain text", 1.0)


def test_the_picture_to_warm_up_with_is_one() -> None:
    assert Image.open(io.BytesIO(plain_image(20, 30))).size == (30, 20)
