"""Where pixels come from: an encoded JPEG, of which only the part asked for is decoded, or a decoded image."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

from datasets import scaled_jpeg
from datasets.scaled_jpeg import Size
from slim_train.tf_compat import tf


class SourceImage(Protocol):
    """An image whose size is known before its pixels are.

    Attributes:
      height: int32 scalar, in pixels.
      width: int32 scalar, in pixels.
    """

    height: Any
    width: Any

    def whole(self, target: Size | None = None) -> Any:
        """Return all pixels: [height, width, channels], uint8 or float32, in 0..255.

        Args:
          target: height and width that they are resized to. An image may come smaller than it is, at least twice that
            size. None: all pixels are needed.
        """

    def crop(self, window: Any, target: Size | None = None) -> Any:
        """Return the pixels of ``window``, int32 [4]: top, left, height, width; ``target`` as in :meth:`whole`."""


class JpegImage:
    """An encoded JPEG. Rows below a crop are not decoded, rows above and columns beside it only in part.

    Args:
      encoded: string scalar.
      channels: 1 or 3; grey images become 3 equal channels, color ones their luminance.
      fast: repeat the chroma samples of a subsampled JPEG instead of interpolating them. Luminance stays as it is.
      scaled: decode large images smaller than they are if they are resized, see :mod:`datasets.scaled_jpeg`.
    """

    def __init__(self, encoded: Any, channels: int, fast: bool, scaled: bool = True) -> None:
        self._encoded, self._scaled = encoded, scaled
        self._options = {"channels": channels, "fancy_upscaling": not fast}
        shape = tf.image.extract_jpeg_shape(encoded)
        self.height, self.width = shape[0], shape[1]

    def whole(self, target: Size | None = None) -> Any:
        def decode(ratio: int) -> Any:
            return tf.io.decode_jpeg(self._encoded, ratio=ratio, **self._options)

        return self._decoded(decode, (self.height, self.width), target)

    def crop(self, window: Any, target: Size | None = None) -> Any:
        def decode(ratio: int) -> Any:
            scaled = self._scaled_window(window, ratio) if ratio > 1 else window
            return tf.image.decode_and_crop_jpeg(self._encoded, scaled, ratio=ratio, **self._options)

        return self._decoded(decode, (window[2], window[3]), target)

    def _decoded(self, decode: Callable[[int], Any], crop: Size, target: Size | None) -> Any:
        """Return what ``decode`` gives for the largest ratio that leaves enough of the crop."""
        if target is None or not self._scaled:
            return decode(1)

        def scaled() -> Any:
            fits = [scaled_jpeg.suffices(ratio, crop, target) for ratio in scaled_jpeg.RATIOS]
            count = tf.reduce_sum(tf.cast(tf.stack(fits), tf.int32))
            ratios = (1, *scaled_jpeg.RATIOS)
            return tf.switch_case(count, [functools.partial(decode, ratio) for ratio in ratios])

        # Asked first: it is all that images of usual sizes spend on this.
        return tf.cond(scaled_jpeg.is_large((self.height, self.width)), scaled, lambda: decode(1))

    def _scaled_window(self, window: Any, ratio: int) -> Any:
        """Return the window of the image at 1/ratio of its size, to the next pixel of that."""
        size = (tf.stack([self.height, self.width]) + (ratio - 1)) // ratio  # as libjpeg rounds
        scaled = (window + ratio // 2) // ratio
        begin, length = scaled[:2], tf.clip_by_value(scaled[2:], 1, size)
        return tf.concat([tf.minimum(begin, size - length), length], axis=0)


class DecodedImage:
    """An image tensor [height, width, channels], uint8 or float32, in 0..255."""

    def __init__(self, image: Any) -> None:
        self._image = image
        shape = tf.shape(image)
        self.height, self.width = shape[0], shape[1]

    def whole(self, target: Size | None = None) -> Any:
        return self._image

    def crop(self, window: Any, target: Size | None = None) -> Any:
        return tf.slice(self._image, tf.concat([window[:2], [0]], axis=0), tf.concat([window[2:], [-1]], axis=0))


def with_source_image(
    encoded: Any, channels: int, use: Callable[[SourceImage], Any], *, fast: bool, scaled: bool = True
) -> Any:
    """``use(image)`` for encoded bytes: a JPEG is decoded as far as needed, a PNG, BMP or GIF whole.

    ``fast`` and ``scaled`` are those of :class:`JpegImage`.
    """

    def decoded() -> Any:
        image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
        return use(DecodedImage(tf.ensure_shape(image, [None, None, channels])))

    return tf.cond(tf.io.is_jpeg(encoded), lambda: use(JpegImage(encoded, channels, fast, scaled)), decoded)
