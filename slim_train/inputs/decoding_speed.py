"""How long this machine takes to decode the images of a data set: a few of them, measured. No TensorFlow."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass

from datasets.errors import DataError
from datasets.images import ImageRejected, decode, size_of
from datasets.spec import DatasetSpec
from datasets.tfrecords import scan_images

_MOST_IMAGES, _MOST_SECONDS = 16, 0.25


@dataclass(frozen=True)
class DecodingCost:
    """The cost of decoding.

    Attributes:
      seconds: of one CPU per image.
      side: long side of the median image in pixels.
    """

    seconds: float
    side: int


def measure_decoding(dataset: DatasetSpec, image_size: int, scaled: bool = True) -> DecodingCost | None:
    """Decode the first images of a data set for a quarter of a second at most; None if they cannot be read so.

    Args:
      dataset: the split.
      image_size: of the net in pixels.
      scaled: whether large JPEGs are decoded smaller than they are.
    """
    seconds, sides = [], []
    try:
        for data in itertools.islice(scan_images(dataset.files, dataset.records.image_key), _MOST_IMAGES):
            began = time.thread_time()  # not disturbed by training, which goes on meanwhile
            decode(data, (image_size, image_size) if scaled else None)
            seconds.append(time.thread_time() - began)
            sides.append(max(size_of(data)))
            if sum(seconds) > _MOST_SECONDS:
                break
    except (DataError, ImageRejected, KeyError, IndexError, ValueError):
        return None
    return DecodingCost(statistics.fmean(seconds), int(statistics.median(sides))) if seconds else None
