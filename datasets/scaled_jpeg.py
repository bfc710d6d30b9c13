"""How far JPEGs are scaled down while they are decoded, which is faster and averages pixels. No TensorFlow."""

from __future__ import annotations

from typing import Any

# What libjpeg scales by at the cost of less arithmetic instead of more.
RATIOS = (2, 4, 8)
# Bilinear resizing sees at most every pixel if it halves an image, and fewer beyond.
_MARGIN = 2
_LARGE_PIXELS = 1_000_000

# Height and width in pixels: integers, or int32 scalar tensors.
Size = tuple[Any, Any]


def is_large(image: Size) -> Any:
    """Return whether an image has a megapixel: smaller ones are always decoded in full, whatever the net.

    They decode in milliseconds, and so give the same numbers as without scaling.
    """
    height, width = image
    return height * width >= _LARGE_PIXELS


def suffices(ratio: int, crop: Size, target: Size) -> Any:
    """Return whether a crop that is decoded at 1/ratio of its size is at least twice the size it is resized to.

    A net of 224 pixels sees 87.5% of each side of a photograph of 4000 x 3000 pixels in evaluation: 3500 x 2625.
    At ratio 4 these are 875 x 656 pixels, and 448 are needed. At ratio 8, 437 x 328 are too few.

    Args:
      ratio: one of :data:`RATIOS`.
      crop: height and width in pixels of the image's part that the net sees, at full size.
      target: height and width in pixels that the crop is resized to.

    Returns:
      bool, or a bool scalar tensor if a size is made of tensors.
    """
    (height, width), (target_height, target_width) = crop, target
    needed = _MARGIN * ratio
    return (height >= needed * target_height) & (width >= needed * target_width)


def decoding_ratio(image: Size, crop: Size, target: Size) -> int:
    """Return the largest ratio that suffices: 1, 2, 4 or 8.

    Args:
      image: height and width of the JPEG in pixels.
      crop: of its part that is seen, see :func:`suffices`.
      target: that the part is resized to.
    """
    if not is_large(image):
        return 1
    return max((ratio for ratio in RATIOS if suffices(ratio, crop, target)), default=1)
