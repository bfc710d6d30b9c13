"""The preprocessing of Inception and MobileNet nets: random crops of any size and shape, colours in [-1, 1].

Matches research/slim's inception preprocessing, whose crops are those of Szegedy et al., "Going deeper with
convolutions" (https://arxiv.org/abs/1409.4842), section 6.
"""

from __future__ import annotations

from typing import Any

from slim_train.preprocessing import geometry
from slim_train.preprocessing.picture import Picture
from slim_train.preprocessing.recipe import Recipe
from slim_train.tf_compat import tf

AREA_RANGE = (0.05, 1.0)  # of the crop, as a share of the picture
ASPECT_RATIO_RANGE = (0.75, 1.33)  # width / height of the crop
MIN_OBJECT_COVERED = 0.1  # share of the bounding box in the crop; the box is the picture unless one is given
CENTRAL_FRACTION = 0.875  # of each side, seen in evaluation
MAX_BRIGHTNESS_DELTA = 32.0  # of 255
SATURATION_RANGE = (0.5, 1.5)


def recipe() -> Recipe:
    return Recipe(
        name="inception",
        channels=3,
        train_geometry=_train_geometry,
        train_colours=_train_colours,
        eval_geometry=_eval_geometry,
        eval_colours=_scale,
    )


def _train_geometry(picture: Picture, height: int, width: int, seed: Any) -> Any:
    begin, size, _ = tf.raw_ops.StatelessSampleDistortedBoundingBox(
        image_size=[picture.height, picture.width, 1],
        bounding_boxes=tf.zeros([0, 0, 4]),
        seed=seed,
        min_object_covered=MIN_OBJECT_COVERED,
        aspect_ratio_range=ASPECT_RATIO_RANGE,
        area_range=AREA_RANGE,
        max_attempts=100,
        use_image_if_no_bounding_boxes=True,
    )
    crop = picture.crop(tf.concat([begin[:2], size[:2]], axis=0))
    return geometry.resize(geometry.random_flip(crop, seed), height, width)


def _eval_geometry(picture: Picture, height: int, width: int) -> Any:
    return geometry.resize(picture.crop(geometry.central_window(picture, CENTRAL_FRACTION)), height, width)


def _train_colours(images: Any, seed: Any) -> Any:
    batch = tf.shape(images)[0]
    chance = tf.random.stateless_uniform([2, batch, 1, 1, 1], seed)
    images += (2.0 * chance[0] - 1.0) * MAX_BRIGHTNESS_DELTA
    if images.shape[-1] == 3:
        low, high = SATURATION_RANGE
        images = _adjust_saturation(images, low + (high - low) * chance[1])
    return _scale(tf.clip_by_value(images, 0.0, 255.0))


def _adjust_saturation(images: Any, factor: Any) -> Any:
    """Multiply the saturation of HSV by ``factor``, at most to 1, without going through HSV."""
    value = tf.reduce_max(images, axis=-1, keepdims=True)
    chroma = value - tf.reduce_min(images, axis=-1, keepdims=True)
    return value - (value - images) * tf.minimum(factor, tf.math.divide_no_nan(value, chroma))


def _scale(images: Any) -> Any:
    return images * (2.0 / 255.0) - 1.0
