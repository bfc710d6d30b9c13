"""What the images of a conversion amount to: counts, sizes, and those that were rejected. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from datasets.errors import DataError
from datasets.workers import Chunk, ConvertedChunk, Rejection, extremes


@dataclass
class Tally:
    """What a pass over images has met.

    Attributes:
      class_counts: split name -> images written, by label.
      rejections: the bad images.
      heights: smallest and largest, in pixels; empty before the first image.
      widths: smallest and largest, in pixels.
      num_bytes: size of the record files.
    """

    class_counts: dict[str, list[int]]
    rejections: list[Rejection] = field(default_factory=list)
    heights: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    num_bytes: int = 0

    def add(self, chunk: Chunk, converted: ConvertedChunk) -> None:
        """Count a chunk in."""
        counts = self.class_counts[chunk.split_name]
        for label in chunk.labels:
            counts[label] += 1
        for rejection in converted.rejections:
            counts[rejection.label] -= 1
        self.rejections += converted.rejections
        self.heights = extremes(self.heights + converted.heights)
        self.widths = extremes(self.widths + converted.widths)
        self.num_bytes += len(converted.records)


def bad_image(bad: Rejection) -> DataError:
    """Return the error for an image at which a conversion is to stop."""
    words = f"{bad.reason} ({bad.detail})" if bad.detail else bad.reason
    return DataError(f"Bad image {bad.name}: {words}. Fix or remove it, or skip bad images with on_error=skip.")
