"""What a preprocessing recipe is: what to do with one picture, then what to do with a whole batch at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from slim_train.preprocessing.picture import Picture, with_picture
from slim_train.tf_compat import tf


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How pictures become the input of a net.

    The geometry (crop, resize, flip) is each picture's own, since pictures differ in size; the colours of all pictures
    of a batch are then changed together, which costs one operation for the batch instead of one for each picture.

    Attributes:
      name: what ``--preprocessing_name`` takes.
      channels: colour channels of the nets it was made for.
      train_geometry: (picture, height, width, seed) -> [height, width, channels] in 0..255, distorted at random.
      train_colours: (images [batch, height, width, channels] in 0..255, seed) -> float32 as the net takes it.
      eval_geometry: (picture, height, width) -> [height, width, channels] in 0..255.
      eval_colours: images [batch, height, width, channels] in 0..255 -> float32 as the net takes it.
    """

    name: str
    channels: int
    train_geometry: Callable[[Picture, int, int, Any], Any]
    train_colours: Callable[[Any, Any], Any]
    eval_geometry: Callable[[Picture, int, int], Any]
    eval_colours: Callable[[Any], Any]

    def decode_train(self, encoded: Any, height: int, width: int, channels: int, seed: Any) -> Any:
        """Decode and distort one picture; :meth:`batch_train` finishes a batch of them.

        Args:
          encoded: string scalar, the bytes of a JPEG, PNG, BMP or GIF. Of a JPEG only the crop is decoded.
          height: of the result, in pixels.
          width: of the result, in pixels.
          channels: 1 or 3; a grey picture becomes 3 equal channels.
          seed: integer [2]; the same seed gives the same distortion.

        Returns:
          [height, width, channels], uint8 or float32, in 0..255.
        """

        def geometry(picture: Picture) -> Any:
            return self.train_geometry(picture, height, width, seed)

        return tf.ensure_shape(with_picture(encoded, channels, geometry, fast=True), [height, width, channels])

    def batch_train(self, images: Any, seed: Any) -> Any:
        """Distort and scale the colours of a batch of :meth:`decode_train`: float32, same shape, as the net takes it."""
        return self.train_colours(images, seed)

    def decode_eval(self, encoded: Any, height: int, width: int, channels: int) -> Any:
        """Decode one picture as for evaluation, without chance; arguments and result as :meth:`decode_train`."""

        def geometry(picture: Picture) -> Any:
            return self.eval_geometry(picture, height, width)

        return tf.ensure_shape(with_picture(encoded, channels, geometry, fast=False), [height, width, channels])

    def batch_eval(self, images: Any) -> Any:
        """Scale the colours of a batch of :meth:`decode_eval`: float32, same shape, as the net takes it."""
        return self.eval_colours(images)
