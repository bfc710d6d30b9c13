"""The preprocessing of VGG, ResNet and AlexNet nets: scale jitter, square crops, mean color subtracted.

Matches research/slim's vgg preprocessing, which follows Simonyan and Zisserman, "Very deep convolutional networks for
large-scale image recognition" (https://arxiv.org/abs/1409.1556), section 3.1. The sides that an image is resized to,
256 to 512 pixels for nets of 224, grow and shrink with the net's input. In training the crop is cut out of the image
first and resized then, the same region up to a pixel of the image, at a fraction of the cost.
"""

from __future__ import annotations

from typing import Any

from slim_train.preprocessing import distort
from slim_train.preprocessing.recipe import Recipe
from slim_train.preprocessing.source_image import SourceImage
from slim_train.tf_compat import tf

_SIDE_MIN = 256
_SIDE_MAX = 512
_SIDES_MADE_FOR = 224  # size of the net's input that the two sides above go with
_MEANS = (123.68, 116.779, 103.939)  # red, green and blue of ImageNet
_GREY_MEAN = 117.38  # their luminance


def recipe(resize_side_min: int | None = None, resize_side_max: int | None = None) -> Recipe:
    """Return the recipe.

    Args:
      resize_side_min: smallest length in pixels that the smaller side of an image is resized to; the one used in
        evaluation. None means 256 for an input of 224 pixels, in proportion for others.
      resize_side_max: largest such length. None means 512 for an input of 224 pixels, in proportion for others.
    """

    def train_image(source: SourceImage, height: int, width: int, seed: Any) -> Any:
        side_min = resize_side_min or _side(_SIDE_MIN, height, width)
        side_max = resize_side_max or _side(_SIDE_MAX, height, width)
        chance = tf.random.stateless_uniform([3], seed)
        side = tf.floor(side_min + chance[0] * (side_max + 1 - side_min))
        size = tf.stack([source.height, source.width])
        scale = tf.cast(tf.reduce_min(size), tf.float32) / side
        window = tf.clip_by_value(tf.cast(tf.round(scale * [height, width]), tf.int32), 1, size)
        begin = tf.cast(chance[1:] * tf.cast(size - window + 1, tf.float32), tf.int32)
        pixels = source.crop(tf.concat([begin, window], axis=0), (height, width))
        return distort.resize(pixels, height, width)

    def eval_image(source: SourceImage, height: int, width: int) -> Any:
        side = resize_side_min or _side(_SIDE_MIN, height, width)
        size = tf.cast(tf.stack([source.height, source.width]), tf.float32)
        resized = tf.cast(tf.round(size * (side / tf.reduce_min(size))), tf.int32)
        begin = (resized - [height, width]) // 2
        pixels = source.whole((resized[0], resized[1]))
        return distort.resize(pixels, resized[0], resized[1])[begin[0] : begin[0] + height, begin[1] : begin[1] + width]

    return Recipe(
        name="vgg",
        channels=3,
        train_image=train_image,
        train_batch=_train_batch,
        eval_image=eval_image,
        eval_batch=_subtract_mean,
    )


def _side(side: int, height: int, width: int) -> int:
    return round(side * max(height, width) / _SIDES_MADE_FOR)


def _train_batch(images: Any, seed: Any) -> Any:
    (chance,) = distort.uniform_by_image(images, 1, seed)
    return _flip_and_subtract_mean(images, chance)


@distort.fused
def _flip_and_subtract_mean(images: Any, chance: Any) -> Any:
    return _subtract_mean(distort.flip(images, chance))


def _subtract_mean(images: Any) -> Any:
    return images - tf.constant(_MEANS if images.shape[-1] == 3 else _GREY_MEAN)
