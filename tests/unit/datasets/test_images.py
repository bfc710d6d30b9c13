from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, features

from datasets import images
from datasets.images import (
    TOO_LARGE,
    ImageHeader,
    ImageRejected,
    check,
    decode,
    encode_planes,
    header_of,
    normalise,
    size_of,
)

_ORIENTATION = 0x0112
WITHOUT_LOSS = {"WEBP": {"lossless": True}}


def _decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _reason(data: bytes) -> str:
    with pytest.raises(ImageRejected) as rejected:
        normalise(data)
    return rejected.value.reason


@pytest.mark.parametrize(
    ("image_format", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "L", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("PNG", "RGB", {}),
        ("PNG", "L", {}),
        ("PNG", "1", {}),
        ("PNG", "P", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "LA", {}),
    ],
)
def test_what_tensorflow_reads_is_kept_byte_for_byte(
    encoded: Callable[..., bytes], image_format: str, mode: str, options: dict
) -> None:
    data = encoded(image_format, mode, **options)
    image = normalise(data)
    assert image.data == data
    assert (image.format, image.height, image.width) == (image_format.lower(), 8, 12)


@pytest.mark.parametrize(
    ("image_format", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"subsampling": 2, "quality": 60}),
        ("JPEG", "L", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("PNG", "LA", {}),
        ("PNG", "RGBA", {}),
        ("BMP", "RGB", {}),
        ("TIFF", "L", {}),
    ],
)
def test_pixels_are_those_that_tensorflow_decodes(
    encoded: Callable[..., bytes], image_format: str, mode: str, options: dict
) -> None:
    tf = pytest.importorskip("tensorflow")
    data = encoded(image_format, mode, **options)
    stored = normalise(data).data
    if image_format == "JPEG":
        # Its default is faster and less exact: off by a few levels.
        expected = tf.io.decode_jpeg(stored, channels=3, dct_method="INTEGER_ACCURATE")
    else:
        expected = tf.io.decode_png(stored, channels=3)
    np.testing.assert_array_equal(decode(data), expected.numpy())


def test_pixels_of_a_turned_jpeg_are_upright_and_not_compressed_again(encoded: Callable[..., bytes]) -> None:
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    data = encoded("JPEG", "RGB", exif=exif)
    np.testing.assert_array_equal(decode(data), np.rot90(np.asarray(_decoded(data)), -1))


def test_what_is_rejected_for_records_has_no_pixels_either(encoded: Callable[..., bytes]) -> None:
    for data in (b"", b"text", encoded("JPEG")[:-2], encoded("PNG")[:-4]):
        with pytest.raises(ImageRejected):
            decode(data)


@pytest.mark.parametrize("image_format", ["WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_other_formats_become_png_with_the_same_pixels(
    encoded: Callable[..., bytes], picture: Callable[..., Image.Image], image_format: str
) -> None:
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = encoded(image_format, "L", **options)
    image = normalise(data)
    assert (image.format, image.height, image.width) == ("png", 8, 12)
    np.testing.assert_array_equal(np.asarray(_decoded(image.data).convert("L")), np.asarray(picture("L")))


def test_the_first_frame_of_a_gif_is_taken(picture: Callable[..., Image.Image]) -> None:
    buffer = io.BytesIO()
    picture("L").save(buffer, "GIF", save_all=True, append_images=[Image.new("L", (12, 8), 7)])
    stored = _decoded(normalise(buffer.getvalue()).data).convert("L")
    np.testing.assert_array_equal(np.asarray(stored), np.asarray(picture("L")))


def test_a_cmyk_jpeg_becomes_an_rgb_jpeg(encoded: Callable[..., bytes], picture: Callable[..., Image.Image]) -> None:
    image = normalise(encoded("JPEG", "CMYK", quality=100))
    stored = _decoded(image.data)
    assert (image.format, stored.mode) == ("jpeg", "RGB")
    assert np.abs(np.asarray(stored).astype(int) - np.asarray(picture())).mean() < 3


def test_sixteen_bits_are_scaled_to_eight_not_clipped() -> None:
    values = np.linspace(0, 65535, 96, dtype=np.uint16).reshape(8, 12)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    stored = _decoded(normalise(buffer.getvalue()).data)
    assert stored.mode == "L"
    np.testing.assert_array_equal(np.asarray(stored), values >> 8)


def test_a_sixteen_bit_colour_png_is_stored_with_eight_bits() -> None:
    rows = b"".join(b"\0" + struct.pack(">36H", *range(0, 36 * 1800, 1800)) for _ in range(8))
    header = struct.pack(">IIBBBBB", 12, 8, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    image = normalise(data)
    assert image.data[24] == 8  # the header's bit depth
    assert np.asarray(_decoded(image.data))[0, 1].tolist() == [5400 >> 8, 7200 >> 8, 9000 >> 8]


def test_a_palette_with_alpha_is_stored_without_it(encoded: Callable[..., bytes]) -> None:
    data = encoded("PNG", "P", transparency=3)
    stored = _decoded(normalise(data).data)
    assert stored.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(stored), np.asarray(_decoded(data).convert("RGBA"))[..., :3])


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_exif_orientation_is_undone(
    picture: Callable[..., Image.Image], image_format: str, orientation: int, turn: Image.Transpose
) -> None:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    buffer = io.BytesIO()
    options = {"lossless": True} if image_format == "WEBP" else {}
    # What the camera's sensor saw: the upright image turned by the inverse of what the tag asks viewers to do.
    picture().transpose(turn).save(buffer, image_format, exif=exif, **options)
    np.testing.assert_array_equal(np.asarray(_decoded(normalise(buffer.getvalue()).data)), np.asarray(picture()))


def test_a_turned_jpeg_stays_a_jpeg_and_forgets_its_orientation(encoded: Callable[..., bytes]) -> None:
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    image = normalise(encoded("JPEG", exif=exif))
    assert (image.format, image.height, image.width) == ("jpeg", 12, 8)
    assert _decoded(image.data).getexif().get(_ORIENTATION) is None


def test_an_upright_exif_orientation_changes_nothing(encoded: Callable[..., bytes]) -> None:
    exif = Image.Exif()
    exif[_ORIENTATION] = 1
    data = encoded("JPEG", exif=exif)
    assert normalise(data).data == data


def test_a_phones_multi_picture_jpeg_is_kept(picture: Callable[..., Image.Image]) -> None:
    buffer = io.BytesIO()
    picture().save(buffer, "MPO", save_all=True, append_images=[picture(shift=9)])
    image = normalise(buffer.getvalue())
    assert (image.format, image.data) == ("jpeg", buffer.getvalue())


def test_an_empty_file_is_rejected() -> None:
    assert _reason(b"") == "empty file"


def test_a_text_file_is_not_an_image() -> None:
    assert _reason(b"I am no image\n") == "not an image"


def test_postscript_is_not_run() -> None:
    assert _reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n") == "not an image"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_truncated_file_is_rejected(encoded: Callable[..., bytes], image_format: str) -> None:
    data = encoded(image_format)
    assert _reason(data[: len(data) * 2 // 3]) in ("truncated", "damaged", "not an image")


def test_a_truncated_jpeg_is_rejected_with_its_reason(encoded: Callable[..., bytes]) -> None:
    assert _reason(encoded("JPEG")[:-30]) == "truncated"


def test_a_jpeg_without_its_end_marker_is_truncated(encoded: Callable[..., bytes]) -> None:
    # Pillow has all the pixels by then; TensorFlow fails if it lacks the marker.
    data = encoded("JPEG", "L")
    assert data.endswith(b"\xff\xd9")
    assert _reason(data[:-2]) == "truncated"


def test_a_jpeg_with_a_segment_that_runs_past_its_end_is_truncated(encoded: Callable[..., bytes]) -> None:
    # All the pixels are there again, for Pillow. TensorFlow skips the segment and finds nothing more.
    data = encoded("JPEG", "L")
    assert _reason(data[:-2] + b"\xff\xec\xff\xf0" + data[-2:]) == "truncated"


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(encoded: Callable[..., bytes]) -> None:
    data = encoded("JPEG") + b"\0" * 100
    assert normalise(data).data == data


def test_a_png_with_a_wrong_checksum_is_damaged(encoded: Callable[..., bytes]) -> None:
    data = bytearray(encoded("PNG"))
    checksum_of_idat = data.rindex(b"IEND") - 8
    data[checksum_of_idat] ^= 1
    assert _reason(bytes(data)) == "damaged"


def test_a_png_without_its_end_is_truncated(encoded: Callable[..., bytes]) -> None:
    assert _reason(encoded("PNG")[:-12]) == "truncated"


def _png_of_nothing(height: int, width: int) -> bytes:
    """A header that announces so many pixels, and too few of them."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def test_a_picture_of_200_megapixels_is_rejected_before_it_is_decoded() -> None:
    assert _reason(_png_of_nothing(10_000, 20_000)) == TOO_LARGE


def test_the_size_of_a_picture_is_told_by_its_header_alone() -> None:
    data = _png_of_nothing(500, 1000)
    assert size_of(data) == (500, 1000)
    assert _reason(data) == "truncated"


def test_a_picture_that_looks_like_another_format_has_the_size_of_what_is_decoded() -> None:
    # All of Pillow's formats together take these four bytes at this place for a PhotoCD of 768 x 512.
    buffer = io.BytesIO()
    profile = bytes(2010) + b"PCD_" + bytes(2000)
    Image.new("L", (30, 20)).save(buffer, "WEBP", lossless=True, icc_profile=profile)
    assert Image.open(buffer).format == "PCD"
    assert size_of(buffer.getvalue()) == (20, 30)


@pytest.mark.parametrize(
    "data", [b"", b"plain text", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"]
)
def test_what_is_never_decoded_has_no_size(data: bytes) -> None:
    with pytest.raises(ImageRejected, match="empty file|not an image"):
        size_of(data)


def test_a_size_over_the_limit_is_rejected() -> None:
    with pytest.raises(ImageRejected, match=TOO_LARGE):
        size_of(_png_of_nothing(10_000, 20_000))


def test_floating_point_pixels_are_rejected_since_their_range_is_unknown(encoded: Callable[..., bytes]) -> None:
    assert _reason(encoded("TIFF", "F")) == "32-bit pixels"


def test_a_rejection_says_reason_and_detail() -> None:
    assert str(ImageRejected("damaged", "bad Huffman code")) == "damaged (bad Huffman code)"


def test_planes_of_red_green_and_blue_become_one_png() -> None:
    image = encode_planes(bytes([1, 2, 10, 20, 100, 200]), height=1, width=2, bands=3)
    assert np.asarray(_decoded(image.data)).tolist() == [[[1, 10, 100], [2, 20, 200]]]


@pytest.mark.parametrize(
    ("image_format", "mode", "color"),
    [
        ("JPEG", "RGB", "color"),
        ("JPEG", "L", "gray"),
        ("JPEG", "CMYK", "CMYK"),
        ("PNG", "RGBA", "alpha"),
        ("PNG", "P", "palette"),
        ("TIFF", "F", "32-bit"),
        ("WEBP", "RGB", "color"),
        ("BMP", "1", "gray"),
    ],
)
def test_a_header_has_format_color_and_size(
    encoded: Callable[..., bytes], image_format: str, mode: str, color: str
) -> None:
    data = encoded(image_format, mode)
    assert header_of(data) == header_of(io.BytesIO(data)) == ImageHeader(image_format, color, 8, 12)


def test_sixteen_bits_are_told_by_the_header() -> None:
    buffer = io.BytesIO()
    Image.new("I;16", (12, 8)).save(buffer, "PNG")
    assert header_of(buffer.getvalue()).color == check(buffer.getvalue()).color == "16-bit"


def test_of_a_file_only_the_header_is_read(encoded: Callable[..., bytes]) -> None:
    file = io.BytesIO(encoded() + bytes(10**6))
    header_of(file)
    assert file.tell() < 10**5


def test_what_is_stored_passes_the_check_and_what_is_rejected_does_not(encoded: Callable[..., bytes]) -> None:
    for image_format, mode in (("JPEG", "RGB"), ("PNG", "P"), ("WEBP", "RGB")):
        assert check(encoded(image_format, mode)) == header_of(encoded(image_format, mode))
    for data in (encoded()[:-10], encoded("PNG")[:-12], encoded("TIFF", "F"), b"text"):
        with pytest.raises(ImageRejected) as stored:
            normalise(data)
        with pytest.raises(ImageRejected) as checked:
            check(data)
        assert str(checked.value) == str(stored.value)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow does not read AVIF")
def test_an_avif_becomes_a_png():
    buffer = io.BytesIO()
    Image.new("RGB", (12, 8), (200, 30, 40)).save(buffer, "AVIF", quality=100)
    encoded = normalise(buffer.getvalue())
    assert (encoded.format, encoded.height, encoded.width) == ("png", 8, 12)
    assert np.abs(decode(buffer.getvalue()).astype(int) - (200, 30, 40)).max() < 6


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
            r"a HEIF image, which needs pip install 'slim-train\[heif\]'",
        ),
        (b"\xff\x0a\xfa\x1f\x01\x90", "a JPEG XL image, which is not supported"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    ],
)
def test_an_image_of_a_format_that_is_not_read_is_named(data: bytes, message: str):
    if "HEIF" in message and "HEIF" in images._FORMATS:
        pytest.skip("pillow-heif is installed")
    assert re.match(message, _reason(data))
    with pytest.raises(ImageRejected, match=message):
        header_of(io.BytesIO(data))


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_the_first_frame_of_an_animation_is_read(image_format):
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (12, 8), color) for color in ((200, 30, 40), (0, 0, 255))]
    frames[0].save(buffer, image_format, save_all=True, append_images=frames[1:], **WITHOUT_LOSS.get(image_format, {}))
    assert images.decode(buffer.getvalue())[3, 3].tolist() == [200, 30, 40]
    assert np.asarray(Image.open(io.BytesIO(images.normalise(buffer.getvalue()).data)))[3, 3].tolist() == [200, 30, 40]


def test_the_film_after_the_image_of_a_motion_photo_is_ignored(picture):
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG")
    still = buffer.getvalue()
    film = bytes((0, 0, 0, 24)) + b"ftypmp42" + bytes(range(256)) * 40
    np.testing.assert_array_equal(images.decode(still + film), images.decode(still))
    assert images.normalise(still + film).data == still + film


def test_heic_is_read_in_8_bits():
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    deep = np.full((64, 64, 3), 0x4000, np.uint16)  # a quarter
    file = pillow_heif.from_bytes("RGB;16", (64, 64), deep.tobytes())
    buffer = io.BytesIO()
    file.save(buffer, quality=-1)
    np.testing.assert_allclose(images.decode(buffer.getvalue())[5, 5], 64, atol=2)
    assert images.normalise(buffer.getvalue()).format == "png"
