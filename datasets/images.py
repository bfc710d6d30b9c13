"""One image: decoded in full, and given back as JPEG or PNG bytes that TensorFlow decodes the right way up.

No TensorFlow here: Pillow decodes. What the two libraries disagree on is checked by hand, so that an image accepted
here does not stop a training run later.
"""

from __future__ import annotations

import contextlib
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError, features

from datasets import color_profile, scaled_jpeg

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Where Pillow refuses to go on: at twice the size at which it warns.
TOO_LARGE = "over 178 megapixels"
# A list of our own: Pillow would also start Ghostscript on an EPS file, and read formats nobody trains on.
_SUFFIXES_OF = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm"),
}
if features.check("avif"):  # Pillow 11.3 and later, as built by most
    _SUFFIXES_OF["AVIF"] = (".avif",)
try:
    import pillow_heif

    pillow_heif.register_heif_opener()
    _SUFFIXES_OF["HEIF"] = (".heic", ".heif")
except ImportError:
    pass
_FORMATS = tuple(_SUFFIXES_OF)
# Of the files that are taken for images where folders hold other files too.
SUFFIXES = frozenset(suffix for suffixes in _SUFFIXES_OF.values() for suffix in suffixes)
# What modes of Pillow are to a reader. Those of 16-bit images differ between formats and versions.
_COLORS = {
    "1": "gray", "L": "gray", "LA": "alpha", "La": "alpha", "RGBA": "alpha", "RGBa": "alpha", "PA": "alpha",
    "P": "palette", "CMYK": "CMYK", "F": "32-bit",
    "I": "16-bit", "I;16": "16-bit", "I;16B": "16-bit", "I;16L": "16-bit",
}  # fmt: skip
# Of the container that AVIF shares; phones write the first two.
_HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"heim", b"heis", b"hevc", b"msf1")
_LONGEST_SIGNATURE = 12
_ORIENTATION = 0x0112
_UPRIGHT = (None, 1)
_ON_ITS_SIDE = (5, 6, 7, 8)
_JPEG_QUALITY = 95
# Start-of-frame markers of 8-bit Huffman-coded JPEG: baseline, extended, progressive. libjpeg-turbo 3 in Pillow also
# reads lossless and arithmetic coding, which TensorFlow's need not.
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2)
_ANY_JPEG_FRAMES = (*_JPEG_FRAMES, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_JPEG_START = b"\xff\xd8"
_JPEG_END = 0xD9
# Where a segment begins, be it after another one or after pixels: those write 0xFF as FF00, and have restart markers
# (D0 to D7) among them.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


@dataclass(frozen=True)
class EncodedImage:
    """An image as it is stored in a record.

    Attributes:
      data: JPEG or PNG bytes.
      format: ``jpeg`` or ``png``.
      height: in pixels.
      width: in pixels.
    """

    data: bytes
    format: str
    height: int
    width: int


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image file says.

    Attributes:
      format: JPEG, PNG, GIF, BMP, WEBP, TIFF or PPM.
      color: gray, color, palette, alpha (gray or color with transparency), CMYK, 16-bit or 32-bit.
      height: in pixels, as stored.
      width: in pixels, as stored.
    """

    format: str
    color: str
    height: int
    width: int


class ImageRejected(Exception):
    """An image that cannot be used.

    Attributes:
      reason: one of a few fixed phrases, to count by.
      detail: the decoder's own words; may be empty.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def normalise(data: bytes, target: scaled_jpeg.Size | None = None) -> EncodedImage:
    """Decode one file's bytes in full; keep them if TensorFlow reads them correctly, else encode them again.

    Kept are 8-bit JPEG in grey or color and PNG in up to 8 bits per channel. Encoded again, upright and in 8-bit grey
    or sRGB with transparency dropped: CMYK, 16-bit and palette-with-alpha images, images with an EXIF orientation or
    with a color profile other than sRGB (JPEG as JPEG of quality 95, the rest as PNG), and WebP, BMP, TIFF, PPM and the
    first frame of GIF (as PNG).

    Args:
      data: the bytes of the file.
      target: height and width in pixels that the image is resized to: a large JPEG that is encoded again becomes
        smaller, see :mod:`datasets.scaled_jpeg`. None: it keeps its size.

    Raises:
      ImageRejected: the bytes are no whole image.
    """
    with _opened(data) as image:
        size = image.height, image.width
        # libjpeg reads every bit all the same, and spares the arithmetic for pixels that nobody looks at.
        _scale(image, scaled_jpeg.RATIOS[-1] if _may_be_kept(image, data) else _ratio(image, target))
        image.load()
        if _kept(image, data):
            return EncodedImage(data, "png" if image.format == "PNG" else "jpeg", *size)
        if is_jpeg(image):
            return encode(upright_srgb(image), "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return encode(upright_srgb(image), "PNG")


def decode(data: bytes, target: scaled_jpeg.Size | None = None) -> NDArray[np.uint8]:
    """The pixels of one file's bytes, [height, width, 3]: what TensorFlow decodes from what :func:`normalise` gives.

    JPEG as with TensorFlow's ``dct_method="INTEGER_ACCURATE"``; its default is off by a level or so. An image that
    would be encoded again as JPEG is spared the loss.

    Args:
      data: the bytes of the file.
      target: height and width in pixels that the image is resized to: a large JPEG is decoded smaller than it is, see
        :mod:`datasets.scaled_jpeg`. None: all pixels are needed.

    Raises:
      ImageRejected: the bytes are no whole image.
    """
    import numpy as np

    with _opened(data) as image:
        _scale(image, _ratio(image, target))
        image.load()
        return np.array((image if _kept(image, data) else upright_srgb(image)).convert("RGB"))


def encode_image(image: Image.Image) -> EncodedImage:
    """Encode a Pillow image of any mode as PNG, upright and in 8-bit gray or color.

    Raises:
      ImageRejected: the image has 32-bit pixels, or cannot be read.
    """
    try:
        return encode(upright_srgb(image), "PNG")
    except OSError as error:
        raise ImageRejected("cannot be read", str(error)) from error


def encode_planes(pixels: bytes, height: int, width: int, bands: int) -> EncodedImage:
    """Raw 8-bit pixels as PNG: one plane of rows (grey), or three, one after the other (red, green, blue)."""
    area = height * width
    planes = [Image.frombytes("L", (width, height), pixels[band * area : (band + 1) * area]) for band in range(bands)]
    return encode(planes[0] if bands == 1 else Image.merge("RGB", planes), "PNG")


def size_of(data: bytes) -> tuple[int, int]:
    """Height and width in pixels of what :func:`normalise` and :func:`decode` would decode, told from the header.

    Raises:
      ImageRejected: no header of an image, or one of an image that is :data:`TOO_LARGE`.
    """
    with _opened(data) as image:
        return image.height, image.width


def header_of(source: bytes | IO[bytes]) -> ImageHeader:
    """Return what the header says, without decoding pixels; of an open file no more than the header is read.

    Raises:
      ImageRejected: no header of an image, or that of an image that is :data:`TOO_LARGE`.
    """
    with _opened(source) as image:
        return _header(image)


def check(data: bytes) -> ImageHeader:
    """Decode an image in full, with the checks of :func:`normalise`, and return its header.

    Raises:
      ImageRejected: the bytes are no whole image.
    """
    with _opened(data) as image:
        header = _header(image)
        if _may_be_kept(image, data):
            _scale(image, scaled_jpeg.RATIOS[-1])  # as in normalise
        image.load()
        if not _kept(image, data) and header.color == "32-bit":
            as_8_bit(image, image.format)  # raises
        return header


def _header(image: Image.Image) -> ImageHeader:
    image_format = "JPEG" if is_jpeg(image) else image.format or ""
    color = "32-bit" if image.mode == "I" and image_format not in ("PNG", "PPM") else _COLORS.get(image.mode, "color")
    return ImageHeader(image_format, color, image.height, image.width)


@contextlib.contextmanager
def decoded(data: bytes, least_side: int) -> Iterator[Image.Image]:
    """The image with all its pixels, checked as by :func:`normalise`; what goes wrong in the block is ImageRejected.

    Args:
      data: the bytes of the file.
      least_side: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its long side is no shorter than this then.
    """
    with _opened(data) as image:
        ratios = [ratio for ratio in scaled_jpeg.RATIOS if max(image.size) >= ratio * least_side]
        _scale(image, max(ratios, default=1) if is_jpeg(image) else 1)
        image.load()
        _kept(image, data)
        yield image


@contextlib.contextmanager
def _opened(source: bytes | IO[bytes]) -> Iterator[Image.Image]:
    """The image with its header read; what goes wrong with it in the block is ImageRejected."""
    if not source:
        raise ImageRejected("empty file")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS) as image:
            yield image
    except ImageRejected:
        raise
    except UnidentifiedImageError:
        raise ImageRejected(_unread_format(source) or "not an image") from None
    except Image.DecompressionBombError:
        raise ImageRejected(TOO_LARGE) from None
    except Exception as error:  # Decoders raise anything on damaged bytes: SyntaxError, struct.error, zlib.error, ...
        reason = "truncated" if "truncated" in str(error).lower() else "damaged"
        raise ImageRejected(reason, f"{error}") from None


def _unread_format(source: bytes | IO[bytes]) -> str:
    """Return why a file of a known format that is not installed cannot be read; "" for any other file."""
    if not isinstance(source, bytes):
        source.seek(0)
        source = source.read(_LONGEST_SIGNATURE)
    if source[4:8] == b"ftyp" and source[8:12] in _HEIF_BRANDS:
        return "a HEIF image, which needs pip install 'slim-train[heif]'"
    if source[4:12] == b"ftypavif":
        return "an AVIF image, which needs Pillow 11.3 or later"
    if source.startswith((b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")):
        return "a JPEG XL image, which is not supported: save it as PNG or JPEG"
    return ""


def ratio_of(data: bytes, target: scaled_jpeg.Size) -> int:
    """Return the ratio at which :func:`decode` decodes for ``target``; 1 if the bytes are no JPEG or cannot be read."""
    if not data.startswith(_JPEG_START):
        return 1
    try:
        with _opened(data) as image:
            return _ratio(image, target)
    except ImageRejected:
        return 1


def _ratio(image: Image.Image, target: scaled_jpeg.Size | None) -> int:
    """Return the ratio at which a JPEG that is resized to ``target`` is decoded, seen whole and upright."""
    if target is None or not is_jpeg(image):
        return 1
    size = image.height, image.width
    size = size[::-1] if image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE else size
    return scaled_jpeg.decoding_ratio(size, size, target)


def _scale(image: Image.Image, ratio: int) -> None:
    """Have a JPEG that is not decoded yet decoded at 1/ratio of its size."""
    if ratio > 1:
        image.draft(None, (max(1, image.width // ratio), max(1, image.height // ratio)))


def _may_be_kept(image: Image.Image, data: bytes) -> bool:
    """Return whether :func:`_kept` will be true of a JPEG if all of it can be decoded."""
    if not is_jpeg(image) or image.mode not in ("L", "RGB") or not _is_upright_srgb(image):
        return False
    return next((marker for marker in _jpeg_markers(data) if marker in _ANY_JPEG_FRAMES), 0) in _JPEG_FRAMES


def _kept(image: Image.Image, data: bytes) -> bool:
    if not _is_upright_srgb(image):
        return False
    if is_jpeg(image):
        return _check_jpeg_markers(data) in _JPEG_FRAMES and image.mode in ("L", "RGB")
    if image.format == "PNG":
        _check_png_chunks(data)
        bit_depth = data[24]
        return bit_depth <= 8 and not (image.mode == "P" and "transparency" in image.info)
    return False


def _is_upright_srgb(image: Image.Image) -> bool:
    return image.getexif().get(_ORIENTATION) in _UPRIGHT and color_profile.is_srgb(image)


def is_jpeg(image: Image.Image) -> bool:
    """Return whether an image that Pillow opened is a JPEG."""
    return image.format in ("JPEG", "MPO")  # MPO: a JPEG from a phone, with further images after the first


def _check_jpeg_markers(data: bytes) -> int:
    """Return the start-of-frame marker, which tells how the image is coded.

    Pillow stops reading once it has all the pixels. TensorFlow goes on to the end-of-image marker and fails if it lacks
    it, so it must be there, and no segment may run past it.
    """
    frame = 0
    for marker in _jpeg_markers(data):
        if marker == _JPEG_END:
            return frame
        if marker in _ANY_JPEG_FRAMES:
            frame = marker
    raise ImageRejected("truncated", "no end-of-image marker")


def _jpeg_markers(data: bytes) -> Iterator[int]:
    position = 2
    while match := _JPEG_MARKER.search(data, position):
        yield match[0][1]
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")


def _check_png_chunks(data: bytes) -> None:
    """Check what libpng in TensorFlow insists on and Pillow ignores: the checksum of every critical chunk."""
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 8 + length
        if end + 4 > len(data):
            raise ImageRejected("truncated", "PNG chunk")
        kind = data[position + 4 : position + 8]
        if kind[0:1].isupper() and zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise ImageRejected("damaged", f"checksum of PNG chunk {kind.decode('ascii', 'replace')}")
        if kind == b"IEND":
            return
        position = end + 4
    raise ImageRejected("truncated", "PNG without end")


def upright_srgb(image: Image.Image) -> Image.Image:
    """Return an image upright, in 8-bit gray or sRGB, transparency dropped.

    Raises:
      ImageRejected: it has 32-bit pixels.
    """
    image_format, profile = image.format, None if color_profile.is_srgb(image) else image.info["icc_profile"]
    image = ImageOps.exif_transpose(image)
    if not profile:
        return as_8_bit(image, image_format)
    if image.mode != "CMYK":
        image = as_8_bit(image, image_format)
    return color_profile.in_srgb(image, profile).convert("L" if image.mode == "L" else "RGB")


def as_8_bit(image: Image.Image, image_format: str | None) -> Image.Image:
    """Return an image in 8-bit gray or RGB, transparency dropped; ``image_format`` is the one that it was read from.

    Raises:
      ImageRejected: it has 32-bit pixels.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image_format in ("PNG", "PPM")):
        # Pillow's own conversion clips at 255.
        import numpy as np

        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8), "L")
    if image.mode in ("I", "F"):
        raise ImageRejected("32-bit pixels", "they have no fixed range; save the image with 8 or 16 bits")
    return image.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB")


def encode(image: Image.Image, image_format: str, **options: int) -> EncodedImage:
    """Return a Pillow image of 8 bits as bytes of a format, ``JPEG`` or ``PNG``; ``options`` are Pillow's."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return EncodedImage(buffer.getvalue(), image_format.lower(), image.height, image.width)
