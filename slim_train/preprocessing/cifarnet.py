"""The preprocessing of CifarNet: small shifts, flips and contrast, each image standardised.

Matches research/slim's cifarnet preprocessing but for two things. An image of another size than the net's is resized,
where research/slim cuts out a part or pads it. Brightness is not changed: standardising takes the change back exactly.
"""

from __future__ import annotations

from typing import Any

from slim_train.preprocessing import distort
from slim_train.preprocessing.recipe import Recipe
from slim_train.preprocessing.source_image import SourceImage
from slim_train.tf_compat import tf

_PADDING = 4
_CONTRAST_RANGE = (0.2, 1.8)


def recipe(padding: int = _PADDING) -> Recipe:
    """Return the recipe.

    Args:
      padding: the largest shift in training, in pixels; black comes in at the border.
    """

    def train_image(source: SourceImage, height: int, width: int, seed: Any) -> Any:
        image = _resized(source, height, width)
        padded = tf.pad(image, [[padding, padding], [padding, padding], [0, 0]])
        begin = tf.random.stateless_uniform([2], seed, maxval=2 * padding + 1, dtype=tf.int32)
        return padded[begin[0] : begin[0] + height, begin[1] : begin[1] + width]

    return Recipe(
        name="cifarnet",
        channels=3,
        train_image=train_image,
        train_batch=_train_batch,
        eval_image=_resized,
        eval_batch=_standardize,
    )


def _resized(source: SourceImage, height: int, width: int) -> Any:
    return distort.resize(source.whole((height, width)), height, width)


def _train_batch(images: Any, seed: Any) -> Any:
    flip, contrast = distort.uniform_by_image(images, 2, seed)
    low, high = _CONTRAST_RANGE
    return _distort(images, flip, low + (high - low) * contrast)


@distort.fused
def _distort(images: Any, flip: Any, contrast: Any) -> Any:
    images = distort.flip(images, flip)
    mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
    return _standardize((images - mean) * contrast + mean)


def _standardize(images: Any) -> Any:
    """Zero mean and unit variance per image, as tf.image.per_image_standardization: flat images stay finite."""
    mean, variance = tf.nn.moments(images, axes=[1, 2, 3], keepdims=True)
    smallest = 1.0 / images.shape[1:].num_elements() ** 0.5
    return (images - mean) / tf.maximum(tf.sqrt(variance), smallest)
