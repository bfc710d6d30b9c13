"""Where pixels come from: an encoded JPEG, of which only the part asked for is decoded, or a decoded image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from slim_train.tf_compat import tf


class Picture(Protocol):
    """An image whose size is known before its pixels are.

    Attributes:
      height: int32 scalar, in pixels.
      width: int32 scalar, in pixels.
    """

    height: Any
    width: Any

    def whole(self) -> Any:
        """Return all pixels: [height, width, channels], uint8 or float32, in 0..255."""

    def crop(self, window: Any) -> Any:
        """Return the pixels of ``window``, int32 [4]: top, left, height, width."""


class JpegPicture:
    """An encoded JPEG. Rows below a crop are not decoded, rows above and columns beside it only in part.

    Args:
      encoded: string scalar.
      channels: 1 or 3; grey images become 3 equal channels, color ones their luminance.
      fast: repeat the chroma samples of a subsampled JPEG instead of interpolating them. Luminance stays as it is.
    """

    def __init__(self, encoded: Any, channels: int, fast: bool) -> None:
        self._encoded = encoded
        self._options = {"channels": channels, "fancy_upscaling": not fast}
        shape = tf.image.extract_jpeg_shape(encoded)
        self.height, self.width = shape[0], shape[1]

    def whole(self) -> Any:
        return tf.io.decode_jpeg(self._encoded, **self._options)

    def crop(self, window: Any) -> Any:
        return tf.image.decode_and_crop_jpeg(self._encoded, window, **self._options)


class DecodedPicture:
    """An image tensor [height, width, channels], uint8 or float32, in 0..255."""

    def __init__(self, image: Any) -> None:
        self._image = image
        shape = tf.shape(image)
        self.height, self.width = shape[0], shape[1]

    def whole(self) -> Any:
        return self._image

    def crop(self, window: Any) -> Any:
        return tf.slice(self._image, tf.concat([window[:2], [0]], axis=0), tf.concat([window[2:], [-1]], axis=0))


def with_picture(encoded: Any, channels: int, use: Callable[[Picture], Any], *, fast: bool) -> Any:
    """``use(image)`` for encoded bytes: a JPEG is decoded as far as needed, a PNG, BMP or GIF whole."""

    def decoded() -> Any:
        image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
        return use(DecodedPicture(tf.ensure_shape(image, [None, None, channels])))

    return tf.cond(tf.io.is_jpeg(encoded), lambda: use(JpegPicture(encoded, channels, fast)), decoded)
