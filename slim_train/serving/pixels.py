"""Images that come as numbers: nested lists of pixels, as clients of Keras and TensorFlow Serving send them."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from slim_train.serving.errors import RequestError

_FORM = "it must be [height, width, 3] or [height, width, 1], with whole numbers from 0 to 255"


def encode_pixels(pixels: Any, where: str) -> bytes:
    """Return an image as a PNG, which then takes the way of all images: size limit, decoding, preprocessing.

    Args:
      pixels: nested lists [height, width, channels] of whole numbers from 0 to 255, with 3 channels (RGB) or 1.
      where: the start of error messages.

    Raises:
      RequestError: 400, these are other numbers, or lists of another shape.
    """
    try:
        array = np.asarray(pixels)
    except (ValueError, OverflowError):  # Rows of different lengths, or numbers beyond 64 bits.
        raise RequestError(400, f"{where} is not an image; {_FORM}.") from None
    if array.dtype.kind == "f" and array.size:
        raise RequestError(
            400, f"{where} has fractions: send the pixels as they are, because this server preprocesses them; {_FORM}."
        )
    if array.dtype.kind not in "iu" or array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
        raise RequestError(400, f"{where} is not an image; {_FORM}.")
    if array.min() < 0 or array.max() > 255:
        raise RequestError(400, f"{where} has values from {array.min()} to {array.max()}; {_FORM}.")
    array = array.astype(np.uint8)
    buffer = io.BytesIO()
    # Compression would cost more than all the rest, for bytes that never leave this process.
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def encode_pixel_tensor(content: bytes, shape: Sequence[int], where: str) -> list[bytes]:
    """Return the images of a tensor of bytes, each as :func:`encode_pixels` does.

    Args:
      content: pixels, row by row.
      shape: [N, height, width, channels], or [height, width, channels] of one image.
      where: the start of error messages.

    Raises:
      RequestError: 400, the shape is another one, or not that of the content.
    """
    if len(shape) not in (3, 4) or len(content) != math.prod(shape):
        raise RequestError(
            400,
            f"{where} holds {len(content)} pixels in the shape {list(shape)}: it must be [N, height, width, channels].",
        )
    array = np.frombuffer(content, np.uint8).reshape(shape if len(shape) == 4 else [1, *shape])
    return [encode_pixels(image, f"{where}[{index}]") for index, image in enumerate(array)]


def bytes_of_values(values: Sequence[int], where: str) -> bytes:
    """Return numbers as bytes.

    Raises:
      RequestError: 400, one is below 0 or above 255.
    """
    try:
        return bytes(values)
    except ValueError:
        raise RequestError(400, f"{where} has values beyond 0 to 255.") from None
