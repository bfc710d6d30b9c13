"""RandAugment: a few of fifteen distortions for each image, drawn each time, all of about the same magnitude.

Cubuk et al. 2019, https://arxiv.org/abs/1909.13719, with the distortions, ranges and names of timm's "rand-..."
policies. Two things differ, so that whole batches are distorted at once: an image never gets the same distortion twice,
and geometry comes before color, whatever the order in which they are drawn.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

from slim_train.errors import UsageError
from slim_train.preprocessing import distort
from slim_train.preprocessing.warp import warp
from slim_train.tf_compat import tf

_GEOMETRY = ("rotate", "shear_x", "shear_y", "shift_x", "shift_y")
_COLOURS = (
    *("auto_contrast", "equalize", "invert", "solarize", "solarize_add", "posterize"),
    *("saturation", "contrast", "brightness", "sharpness"),
)
DISTORTIONS = (*_GEOMETRY, *_COLOURS)

_MAX_LEVEL = 10.0
# At the highest level:
_MAX_ANGLE = math.radians(30.0)
_MAX_SHEAR = 0.3
_MAX_SHIFT = 0.45  # share of the side
_MAX_FACTOR = 0.9  # of saturation, contrast, brightness, sharpness: more or less than 1
_MAX_ADDED = 110.0  # to the darker half of the pixels
_POSTERIZED_BITS = 4.0  # left at level 0, one less for each quarter of the highest level
_GREY = 128.0  # beyond the border
_LUMINANCE = (0.299, 0.587, 0.114)

# A letter of timm's policies -> the field it sets.
_KEYS = {"m": "magnitude", "mstd": "magnitude_std", "n": "num_distortions", "p": "probability"}


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """The policy.

    Attributes:
      magnitude: mean level, 0 to 10.
      magnitude_std: standard deviation of the level of each distortion of each image.
      num_distortions: how many are drawn for an image.
      probability: chance of each of them to be applied.
    """

    magnitude: float = 9.0
    magnitude_std: float = 0.5
    num_distortions: int = 2
    probability: float = 0.5

    @classmethod
    def of_name(cls, name: str) -> RandAugment:
        """``randaugment``, the customary policy, or timm's ``rand-m9-n2-mstd0.5-p0.5`` with any of these parts.

        ``inc1`` is taken, too: all distortions here grow with the level, as timm's do with it.

        Raises:
          UsageError: the name has another form, or a number is out of range.
        """
        values: dict[str, Any] = {}
        for part in name.split("-")[1:]:
            found = re.fullmatch(r"([a-z]+)([0-9.]+)", part)
            if part == "inc1":
                continue
            if not found or found[1] not in _KEYS or not re.fullmatch(r"\d+(\.\d+)?", found[2]):
                raise UsageError(f"--augmentation={name}: {part!r} is none of m9, n2, mstd0.5, p0.5 and inc1.")
            values[_KEYS[found[1]]] = float(found[2])
        policy = dataclasses.replace(cls(), **values)
        number = policy.num_distortions
        if policy.magnitude > _MAX_LEVEL or policy.probability > 1 or number not in range(1, len(DISTORTIONS) + 1):
            raise UsageError(f"--augmentation={name}: m is at most 10, p at most 1, n from 1 to {len(DISTORTIONS)}.")
        return dataclasses.replace(policy, num_distortions=int(number))

    def distort(self, images: Any, seed: Any) -> Any:
        """Distort each image of a batch.

        Args:
          images: float32 [batch, height, width, 1 or 3 channels] in 0..255.
          seed: integer [2].

        Returns:
          As ``images``.
        """
        levels, signs = self.draw(tf.shape(images)[0], seed)
        return apply_distortions(images, levels, signs)

    def draw(self, count: Any, seed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """For ``count`` images and each distortion: its level in 0..1, -1 where it is not applied, and its sign."""
        shape = [count, len(DISTORTIONS)]
        order, chance, sign = tf.unstack(tf.random.stateless_uniform([3, *shape], seed))
        last = tf.math.top_k(order, self.num_distortions).values[:, -1:]
        is_applied = (order >= last) & (chance < self.probability)
        deviation = tf.random.stateless_normal(shape, distort.another_seed(seed, 0))
        level = tf.clip_by_value((self.magnitude + self.magnitude_std * deviation) / _MAX_LEVEL, 0.0, 1.0)
        level = tf.where_v2(is_applied, level, -1.0)
        sign = tf.where_v2(sign < 0.5, -1.0, 1.0)

        def by_name(values: Any) -> dict[str, Any]:
            return dict(zip(DISTORTIONS, tf.unstack(values, axis=1), strict=True))

        return by_name(level), by_name(sign)


def apply_distortions(images: Any, levels: dict[str, Any], signs: dict[str, Any]) -> Any:
    """Return what :meth:`RandAugment.draw` has drawn, applied: float32 [batch, height, width, channels] in 0..255."""

    angle, shear_x, shear_y, shift_x, shift_y = (signs[name] * tf.maximum(levels[name], 0.0) for name in _GEOMETRY)
    images = warp(
        images,
        angle=_MAX_ANGLE * angle,
        shear_x=_MAX_SHEAR * shear_x,
        shear_y=_MAX_SHEAR * shear_y,
        shift_x=_MAX_SHIFT * shift_x,
        shift_y=_MAX_SHIFT * shift_y,
        fill=_GREY,
    )
    which = tf.where_v2(levels["equalize"] >= 0.0)
    equalized = equalize(tf.gather(images, which[:, 0]))
    images = tf.ensure_shape(tf.tensor_scatter_nd_update(images, which, equalized), images.shape)
    by_image = [-1, 1, 1, 1]
    colour_levels = [tf.reshape(levels[name], by_image) for name in _COLOURS if name != "equalize"]
    colour_signs = [tf.reshape(signs[name], by_image) for name in _COLOURS[-4:]]
    return _adjust_colours(images, *colour_levels, *colour_signs)


def equalize(images: Any) -> Any:
    """Spread the grey values of each channel evenly, as PIL's ImageOps.equalize: float32 [batch, h, w, channels]."""
    height, width, channels = images.shape[1:].as_list()
    values = tf.cast(tf.clip_by_value(tf.round(images), 0.0, 255.0), tf.int32)
    rows = tf.reshape(tf.transpose(values, [0, 3, 1, 2]), [-1, height * width])
    histogram = tf.raw_ops.DenseBincount(input=rows, size=256, weights=tf.zeros([0], tf.int32), binary_output=False)
    brightest = tf.gather(histogram, tf.reduce_max(rows, axis=1), batch_dims=1)[:, tf.newaxis]
    step = (height * width - brightest) // 255
    spread = (step // 2 + tf.cumsum(histogram, axis=1, exclusive=True)) // tf.maximum(step, 1)
    table = tf.where_v2(step > 0, tf.minimum(spread, 255), tf.range(256))
    equalized = tf.reshape(tf.gather(table, rows, batch_dims=1), [-1, channels, height, width])
    return tf.cast(tf.transpose(equalized, [0, 2, 3, 1]), tf.float32)


@distort.fused
def _adjust_colours(
    images: Any,
    auto_contrast: Any,
    invert: Any,
    solarize: Any,
    solarize_add: Any,
    posterize: Any,
    saturation: Any,
    contrast: Any,
    brightness: Any,
    sharpness: Any,
    *signs: Any,
) -> Any:
    low = tf.reduce_min(images, axis=[1, 2], keepdims=True)
    span = tf.reduce_max(images, axis=[1, 2], keepdims=True) - low
    images = tf.where_v2(
        (auto_contrast >= 0.0) & (span > 0.0), (images - low) * (255.0 / tf.maximum(span, 1.0)), images
    )
    images = tf.where_v2(invert >= 0.0, 255.0 - images, images)
    threshold = 256.0 * (1.0 - solarize)
    images = tf.where_v2((solarize >= 0.0) & (images >= threshold), 255.0 - images, images)
    images = tf.where_v2(images < 128.0, images + _MAX_ADDED * tf.maximum(solarize_add, 0.0), images)
    left = tf.maximum(_POSTERIZED_BITS - tf.floor(4.0 * posterize), 1.0)
    step = tf.pow(2.0, 8.0 - left)
    images = tf.where_v2(posterize >= 0.0, tf.floor(images / step) * step, images)

    levels = (saturation, contrast, brightness, sharpness)
    factors = [1.0 + _MAX_FACTOR * sign * tf.maximum(level, 0.0) for level, sign in zip(levels, signs, strict=True)]
    if images.shape[-1] == 3:
        images = _blend(_grey(images), images, factors[0])
    images = _blend(tf.reduce_mean(_grey(images), axis=[1, 2], keepdims=True), images, factors[1])
    images = tf.clip_by_value(images * factors[2], 0.0, 255.0)
    return _blend(_smooth(images), images, factors[3])


def _blend(base: Any, images: Any, factor: Any) -> Any:
    """``base`` at factor 0, ``images`` at 1, and beyond them above."""
    return tf.clip_by_value(base + (images - base) * factor, 0.0, 255.0)


def _grey(images: Any) -> Any:
    if images.shape[-1] == 1:
        return images
    return tf.reduce_sum(images * tf.constant(_LUMINANCE), axis=-1, keepdims=True)


def _smooth(images: Any) -> Any:
    """PIL's smoothing filter: the pixel counts 5, its eight neighbours 1 each."""
    height, width = images.shape[1:3].as_list()
    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
    rows = padded[:, :height] + padded[:, 1 : height + 1] + padded[:, 2:]
    square = rows[:, :, :width] + rows[:, :, 1 : width + 1] + rows[:, :, 2:]
    return (square + 4.0 * images) / 13.0
