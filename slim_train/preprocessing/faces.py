"""Distortions for small images of faces: an image that is cut to the face already, as those of FER2013.

Crops of a twentieth of the image, which suit photographs of objects, would leave a cheek. The ranges of scale, shift
and rotation, each applied half of the time, are those that reached 73.3% on FER2013 in Khaireddin and Chen, "Facial
Emotion Recognition: State of the Art Performance on FER2013" (https://arxiv.org/abs/2105.03588).
"""

from __future__ import annotations

import math
from typing import Any

from slim_train.preprocessing import distort
from slim_train.preprocessing.warp import warp
from slim_train.tf_compat import tf

_MAX_ANGLE = math.radians(10.0)
_MAX_SCALE = 0.2  # more or less than 1
_MAX_SHIFT = 0.2  # share of the side
_MAX_CONTRAST = 0.3  # more or less than 1


def distort_faces(images: Any, seed: Any) -> Any:
    """Shift, rotate, scale, mirror and change the contrast of each image at random.

    Args:
      images: float32 [batch, height, width, channels] in 0..255.
      seed: integer [2].

    Returns:
      As ``images``.
    """
    angle, scale, shift_x, shift_y, contrast, mirror = distort.uniform_by_image(images, 6, seed)
    warped = warp(
        images,
        angle=_MAX_ANGLE * _half_of_the_time(angle),
        scale=1.0 + _MAX_SCALE * _half_of_the_time(scale),
        shift_x=_MAX_SHIFT * _half_of_the_time(shift_x),
        shift_y=_MAX_SHIFT * _half_of_the_time(shift_y),
        mirror=mirror < 0.5,
    )
    return _adjust_contrast(warped, 1.0 + _MAX_CONTRAST * (2.0 * contrast - 1.0))


def _half_of_the_time(chance: Any) -> Any:
    """Zero for half of the chances in [0, 1), the other half spread over [-1, 1)."""
    return tf.where_v2(chance < 0.5, 0.0, 4.0 * chance - 3.0)


@distort.fused
def _adjust_contrast(images: Any, factor: Any) -> Any:
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return tf.clip_by_value((images - mean) * factor + mean, 0.0, 255.0)
