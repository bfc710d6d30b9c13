"""Random erasing: a rectangle of some images is blanked, so that a net looks at more than one part of a thing.

Zhong et al. 2017, https://arxiv.org/abs/1708.04896, with timm's ranges of area and shape.
"""

from __future__ import annotations

import math
from typing import Any

from slim_train.preprocessing import distort
from slim_train.tf_compat import tf

_AREA_RANGE = (0.02, 1.0 / 3.0)  # of the rectangle, as a share of the image
_MAX_ASPECT_RATIO = 1.0 / 0.3  # the longer side of the rectangle by the shorter


def erase_rectangles(images: Any, seed: Any, chance: float) -> Any:
    """Set a rectangle to 0, the middle of what nets take, in each image with the given chance.

    Args:
      images: float32 [batch, height, width, channels] as the net takes them.
      seed: integer [2].
      chance: in 0..1.
    """
    height, width = images.shape[1:3].as_list()
    choice, area, ratio, place_y, place_x = distort.uniform_by_image(images, 5, seed)
    low, high = _AREA_RANGE
    area = tf.where_v2(choice < chance, low + (high - low) * area, 0.0)
    ratio = tf.exp((2.0 * ratio - 1.0) * math.log(_MAX_ASPECT_RATIO))
    # Sides of up to 1.05: the flattest rectangles of a third do not fit and are cut off.
    side_y, side_x = tf.minimum(tf.sqrt(area * ratio), 1.0), tf.minimum(tf.sqrt(area / ratio), 1.0)
    rows = distort.span(side_y / 2 + place_y * (1.0 - side_y), side_y, height)
    columns = distort.span(side_x / 2 + place_x * (1.0 - side_x), side_x, width)
    return _erase(images, *rows, *columns)


@distort.fused
def _erase(images: Any, top: Any, bottom: Any, left: Any, right: Any) -> Any:
    return tf.where_v2(distort.rectangle(images, top, bottom, left, right), 0.0, images)
