"""The preprocessing of Inception and MobileNet nets: random crops of many sizes and shapes, colors in [-1, 1].

Matches what research/slim's trainer does, its inception preprocessing in fast mode: crops as in section 6 of Szegedy et
al., "Going deeper with convolutions" (https://arxiv.org/abs/1409.4842), bilinear resizing only, brightness, then
saturation; hue, contrast and the other ways of resizing belong to its slow mode, which nothing used. The crop holds at
least a tenth of the image: the rule that it covers 0.1 of the bounding box overrules the smallest area, 0.05.
"""

from __future__ import annotations

from typing import Any

from slim_train.preprocessing import distort
from slim_train.preprocessing.recipe import Recipe
from slim_train.preprocessing.source_image import SourceImage
from slim_train.tf_compat import tf

_AREA_RANGE = (0.05, 1.0)  # of the crop, as a share of the image
_ASPECT_RATIO_RANGE = (0.75, 1.33)  # width / height of the crop
_MIN_BOX_COVERED = 0.1  # share of a bounding box that the crop holds
_CENTRAL_FRACTION = 0.875  # of each side, seen in evaluation
_MAX_BRIGHTNESS_DELTA = 32.0 / 255.0  # of the full range
_SATURATION_RANGE = (0.5, 1.5)


def recipe(bbox: Any = None) -> Recipe:
    """Return the recipe.

    Args:
      bbox: float32 [1, boxes, 4]: ymin, xmin, ymax, xmax of what the image shows, each in 0..1; a training crop holds
        part of one of them. None means the whole image.
    """

    def train_image(source: SourceImage, height: int, width: int, seed: Any) -> Any:
        window = _random_window(source, bbox, seed)
        return distort.resize(source.crop(window, (height, width)), height, width)

    return Recipe(
        name="inception",
        channels=3,
        train_image=train_image,
        train_batch=_train_batch,
        eval_image=_eval_image,
        eval_batch=lambda images: images * (2.0 / 255.0) - 1.0,
        float_range=1.0,
    )


def _random_window(source: SourceImage, bbox: Any, seed: Any) -> Any:
    begin, size, _ = tf.raw_ops.StatelessSampleDistortedBoundingBox(
        image_size=[source.height, source.width, 1],
        bounding_boxes=tf.zeros([0, 0, 4]) if bbox is None else bbox,
        seed=seed,
        min_object_covered=_MIN_BOX_COVERED,
        aspect_ratio_range=_ASPECT_RATIO_RANGE,
        area_range=_AREA_RANGE,
        max_attempts=100,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], size[:2]], axis=0)


def _eval_image(source: SourceImage, height: int, width: int) -> Any:
    window = distort.central_window(source, _CENTRAL_FRACTION)
    return distort.resize(source.crop(window, (height, width)), height, width)


def _train_batch(images: Any, seed: Any) -> Any:
    flip, brightness, saturation = distort.uniform_by_image(images, 3, seed)
    low, high = _SATURATION_RANGE
    return _distort(images, flip, (2.0 * brightness - 1.0) * _MAX_BRIGHTNESS_DELTA, low + (high - low) * saturation)


@distort.fused
def _distort(images: Any, flip: Any, brightness: Any, saturation: Any) -> Any:
    images = images * (1.0 / 255.0) + brightness
    if images.shape[-1] == 3:
        images = distort.adjust_saturation(images, saturation)
    return distort.flip(2.0 * tf.clip_by_value(images, 0.0, 1.0) - 1.0, flip)
