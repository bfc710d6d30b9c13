"""Turn, scale, shear, shift and mirror each image of a batch, all in one resampling."""

from __future__ import annotations

from typing import Any

from slim_train.tf_compat import tf


def warp(
    images: Any,
    *,
    angle: Any = 0.0,
    scale: Any = 1.0,
    shear_x: Any = 0.0,
    shear_y: Any = 0.0,
    shift_x: Any = 0.0,
    shift_y: Any = 0.0,
    mirror: Any = False,
    fill: float | None = None,
) -> Any:
    """Affine maps about the middle of the images, by bilinear interpolation.

    What is given for each image is [batch] or [batch, 1, 1, 1]; a number holds for all.

    Args:
      images: float32 [batch, height, width, channels].
      angle: of rotation counterclockwise, in radians.
      scale: above 1 enlarges.
      shear_x: columns to the right for each row down.
      shear_y: rows down for each column to the right.
      shift_x: to the right, as a share of the width.
      shift_y: down, as a share of the height.
      mirror: whether left and right are exchanged, after everything else.
      fill: value where the map looks beyond the border; None repeats the pixels of the border, which is also faster.
    """
    count = tf.shape(images)[0]

    def by_image(value: Any, dtype: Any = tf.float32) -> Any:
        return tf.broadcast_to(tf.reshape(tf.cast(value, dtype), [-1]), [count])

    height, width = images.shape[1:3].as_list()
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    angle, scale = by_image(angle), by_image(scale)
    shear_x, shear_y = by_image(shear_x), by_image(shear_y)
    # From a pixel of the result to where it comes from: unshift, unrotate, unshear, unscale.
    cos, sin = tf.cos(angle) / scale, tf.sin(angle) / scale
    shrink = 1.0 / (1.0 - shear_x * shear_y)
    xx, xy = shrink * (cos - shear_x * sin), shrink * (-sin - shear_x * cos)
    yx, yy = shrink * (sin - shear_y * cos), shrink * (cos + shear_y * sin)
    side = tf.where(by_image(mirror, tf.bool), -tf.ones([count]), tf.ones([count]))
    from_x = -middle_x * side - by_image(shift_x) * width
    from_y = -middle_y - by_image(shift_y) * height
    zero = tf.zeros([count])
    rows = [
        *(xx * side, xy, xx * from_x + xy * from_y + middle_x),
        *(yx * side, yy, yx * from_x + yy * from_y + middle_y),
        *(zero, zero),
    ]
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(rows, axis=1),
        output_shape=[height, width],
        fill_value=0.0 if fill is None else fill,
        interpolation="BILINEAR",
        fill_mode="NEAREST" if fill is None else "CONSTANT",
    )
    return tf.ensure_shape(warped, images.shape)
