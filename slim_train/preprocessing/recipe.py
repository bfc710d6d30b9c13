"""What a preprocessing recipe is: what to do with one image, then what to do with a whole batch at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from slim_train.preprocessing.source_image import DecodedImage, SourceImage, with_source_image
from slim_train.tf_compat import tf


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How images become the input of a net.

    Cropping and resizing is each image's own business, since images differ in size. Everything after that is done
    to a whole batch, which costs one operation for the batch instead of one for each image.

    Attributes:
      name: what ``--preprocessing_name`` takes.
      channels: color channels of the nets it was made for.
      train_image: (image, height, width, seed) -> [height, width, channels] in 0..255, cropped at random.
      train_batch: (images [batch, height, width, channels] in 0..255, seed) -> float32 as the net takes it, distorted.
      eval_image: (image, height, width) -> [height, width, channels] in 0..255.
      eval_batch: images [batch, height, width, channels] in 0..255 -> float32 as the net takes it.
      float_range: the largest value of a decoded float32 image, as research/slim takes them.
      gives_pixels: whether there are pixels in 0..255 between the two steps. Otherwise the first does all.
      files: of the code of a user's recipe, the file itself first or among them.
      digest: hex digest of the code of a recipe that is not slim-train's; "" for slim-train's.
      scaled_decoding: whether large JPEGs are decoded smaller than they are, see :mod:`datasets.scaled_jpeg`.
    """

    name: str
    channels: int
    train_image: Callable[[SourceImage, int, int, Any], Any]
    train_batch: Callable[[Any, Any], Any]
    eval_image: Callable[[SourceImage, int, int], Any]
    eval_batch: Callable[[Any], Any]
    float_range: float = 255.0
    gives_pixels: bool = True
    files: tuple[str, ...] = ()
    digest: str = ""
    scaled_decoding: bool = True

    def decode_train(self, encoded: Any, height: int, width: int, channels: int, seed: Any) -> Any:
        """Decode, crop and resize one image for training; ``train_batch`` does the rest.

        Args:
          encoded: string scalar, the bytes of a JPEG, PNG, BMP or GIF. Of a JPEG only the crop is decoded.
          height: of the result, in pixels.
          width: of the result, in pixels.
          channels: 1 or 3; a grey image becomes 3 equal channels.
          seed: integer [2]; the same seed gives the same crop.

        Returns:
          float32 [height, width, channels] in 0..255.
        """

        def prepare(source: SourceImage) -> Any:
            return self.train_image(source, height, width, seed)

        pixels = with_source_image(encoded, channels, prepare, fast=True, scaled=self.scaled_decoding)
        return tf.ensure_shape(pixels, [height, width, channels])

    def decode_eval(self, encoded: Any, height: int, width: int, channels: int) -> Any:
        """As :meth:`decode_train` for evaluation, without chance; ``eval_batch`` does the rest."""

        def prepare(source: SourceImage) -> Any:
            return self.eval_image(source, height, width)

        pixels = with_source_image(encoded, channels, prepare, fast=False, scaled=self.scaled_decoding)
        return tf.ensure_shape(pixels, [height, width, channels])

    def preprocess(self, image: Any, height: int, width: int, *, is_training: bool) -> Any:
        """Return a decoded image [any height, any width, channels], uint8 or float32, as the net takes it in float32.

        Raises:
          ValueError: the image's shape does not say that it has 1 or 3 channels.
        """
        if image.shape.rank != 3 or image.shape[-1] not in (1, 3):
            raise ValueError(f"The image must have the shape [height, width, 1 or 3 channels], not {image.shape}.")
        if image.dtype.is_floating:
            image = tf.cast(image, tf.float32) * (255.0 / self.float_range)
        source = DecodedImage(image)
        shape = [height, width, image.shape[-1]]
        if not is_training:
            prepared = self.eval_image(source, height, width)
            return self.eval_batch(tf.ensure_shape(prepared, shape)[tf.newaxis])[0]
        seeds = tf.random.uniform([2, 2], maxval=tf.int64.max, dtype=tf.int64)
        prepared = self.train_image(source, height, width, seeds[0])
        return self.train_batch(tf.ensure_shape(prepared, shape)[tf.newaxis], seeds[1])[0]
