"""An estimate of the bytes and seconds that smaller images would save, measured on a few of them. No TensorFlow."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import images
from datasets.record_files import find_record_files
from datasets.shrinking import Shrinking, shrunk
from datasets.sources import TRAIN
from datasets.spec import DatasetInfo
from datasets.tfrecords import scan_images

MAX_SIDE = 512
# Pixels of the input of most nets.
NET_SIZE = 224
_LARGE = 4
# Records are in random order: the first ones tell the median. Shrinking takes most of a second per photograph.
_LOOKED_AT, _SHRUNK = 25, 5


@dataclass(frozen=True)
class Savings:
    """What ``--max_image_side=512`` would change.

    Attributes:
      median_side: long side of the median image in pixels.
      bytes_before: size of the record files.
      bytes_after: size that they would have.
      seconds_per_epoch: of decoding the training images on all processors of this machine, saved.
    """

    median_side: int
    bytes_before: int
    bytes_after: int
    seconds_per_epoch: float

    def __str__(self) -> str:
        return (
            f"The median image has {self.median_side:,} pixels on its long side, and most nets take {NET_SIZE}. "
            f"--max_image_side={MAX_SIDE} --overwrite would store about {_size(self.bytes_after)} instead of "
            f"{_size(self.bytes_before)}, and save about {self.seconds_per_epoch:,.1f} s of decoding per epoch on this "
            "machine."
        )


def measure_savings(dataset_dir: Path, info: DatasetInfo, processors: int) -> Savings | None:
    """Return what smaller images would save; None if the median image is not over four times as large as nets take.

    Args:
      dataset_dir: a finished data set folder.
      info: of the data set.
      processors: that decode in training.
    """
    if info.image_sizes and max(info.image_sizes[1]) <= _LARGE * NET_SIZE:
        return None
    files = find_record_files(dataset_dir)
    split_name = TRAIN if TRAIN in info.splits else next(iter(info.splits), "")
    encoded = scan_images(files.get((info.name, split_name), ()), "image/encoded")
    found = list(itertools.islice(encoded, _LOOKED_AT))
    median = int(statistics.median(max(images.size_of(data)) for data in found)) if found else 0
    if median <= _LARGE * NET_SIZE:
        return None
    sample = found[:_SHRUNK]
    smaller = [shrunk(data, Shrinking(MAX_SIDE)).data for data in sample]
    share = sum(map(len, smaller)) / sum(map(len, sample))
    saved = (_decoding_seconds(sample) - _decoding_seconds(smaller)) / len(sample)
    num_bytes = sum(path.stat().st_size for (name, _), found in files.items() for path in found if name == info.name)
    epoch = info.splits[split_name].num_samples
    return Savings(median, num_bytes, round(num_bytes * share), max(0.0, saved) * epoch / processors)


def _decoding_seconds(encoded: Sequence[bytes]) -> float:
    """Return the CPU time that images take as training decodes them."""
    began = time.process_time()
    for data in encoded:
        images.decode(data, (NET_SIZE, NET_SIZE))
    return time.process_time() - began


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:,.1f} MB"
