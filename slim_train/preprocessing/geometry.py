"""Crops, flips and resizing that the recipes share."""

from __future__ import annotations

from typing import Any

from slim_train.preprocessing.picture import Picture
from slim_train.tf_compat import tf


def resize(image: Any, height: int, width: int) -> Any:
    """Bilinear, with the sampling grid of research/slim (corners of pixels, not centres, at the origin): float32."""
    return tf.image.resize_bilinear(image[tf.newaxis], [height, width])[0]


def random_flip(image: Any, seed: Any) -> Any:
    """Mirror left and right in half of the cases."""
    flip = tf.random.stateless_uniform([1], seed) < 0.5
    return tf.raw_ops.Reverse(tensor=image, dims=tf.concat([[False], flip, [False]], axis=0))


def central_window(picture: Picture, fraction: float) -> Any:
    """The window of ``fraction`` of each side in the middle, rounded as tf.image.central_crop does."""
    size = tf.stack([picture.height, picture.width])
    begin = tf.cast((1.0 - fraction) / 2.0 * tf.cast(size, tf.float64), tf.int32)
    return tf.concat([begin, size - 2 * begin], axis=0)
