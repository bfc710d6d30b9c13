"""Formats, colors, sizes and bytes of many images, counted. No TensorFlow."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from datasets.duplicates.fingerprints import BYTES, Fingerprint, fingerprint
from datasets.images import ImageHeader, check, header_of


def look_at(data: bytes, decode: bool, compare: str) -> tuple[ImageHeader, Fingerprint | None]:
    """Return the header of an encoded image, and its fingerprint if images are compared.

    Args:
      data: the encoded image.
      decode: whether to decode it in full. Comparing pixels does so anyway.
      compare: by what: bytes, pixels or near; "" if they are not.

    Raises:
      ImageRejected: it cannot be decoded, or has no header of an image.
    """
    header = (check if decode and compare in ("", BYTES) else header_of)(data)
    return header, fingerprint(data, compare) if compare else None


class Extent(NamedTuple):
    """Height and width in pixels."""

    height: int
    width: int


@dataclass
class ImageStats:
    """Counts over images whose headers could be read.

    Attributes:
      formats: format -> images.
      colors: color -> images; see :class:`datasets.images.ImageHeader`.
      sizes: (height, width) -> images.
      num_bytes: of all images together.
      least_bytes: of the smallest file; None if there are no images.
      most_bytes: of the largest file.
    """

    formats: collections.Counter[str] = field(default_factory=collections.Counter)
    colors: collections.Counter[str] = field(default_factory=collections.Counter)
    sizes: collections.Counter[Extent] = field(default_factory=collections.Counter)
    num_bytes: int = 0
    least_bytes: int | None = None
    most_bytes: int | None = None

    @property
    def images(self) -> int:
        """How many images were counted."""
        return sum(self.formats.values())

    def add(self, header: ImageHeader, num_bytes: int) -> None:
        """Count in an image."""
        self.formats[header.format] += 1
        self.colors[header.color] += 1
        self.sizes[Extent(header.height, header.width)] += 1
        self._add_bytes(num_bytes, num_bytes, num_bytes)

    def merge(self, other: ImageStats) -> None:
        """Count in what another has counted."""
        self.formats.update(other.formats)
        self.colors.update(other.colors)
        self.sizes.update(other.sizes)
        if other.least_bytes is not None and other.most_bytes is not None:
            self._add_bytes(other.num_bytes, other.least_bytes, other.most_bytes)

    def smallest(self) -> Extent | None:
        """Return the least height and the least width, each by itself; None if there are no images."""
        return self._quantile(0.0)

    def median(self) -> Extent | None:
        """Return the median height and the median width, each by itself."""
        return self._quantile(0.5)

    def largest(self) -> Extent | None:
        """Return the greatest height and the greatest width, each by itself."""
        return self._quantile(1.0)

    def most_frequent(self, count: int = 5) -> list[tuple[Extent, int]]:
        """Return the most frequent sizes, each with its number of images."""
        return sorted(self.sizes.items(), key=lambda entry: (-entry[1], entry[0]))[:count]

    def as_json(self) -> dict[str, Any]:
        """Return all counts as values that JSON takes."""
        return {
            "formats": self.formats,
            "colors": self.colors,
            "sizes": [[*size, count] for size, count in self.sizes.items()],
            "bytes": [self.num_bytes, self.least_bytes, self.most_bytes],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ImageStats:
        """Return what :meth:`as_json` has given."""
        sizes = collections.Counter({Extent(height, width): count for height, width, count in content["sizes"]})
        formats, colors = collections.Counter(content["formats"]), collections.Counter(content["colors"])
        return cls(formats, colors, sizes, *content["bytes"])

    def _add_bytes(self, total: int, least: int, most: int) -> None:
        self.num_bytes += total
        self.least_bytes = least if self.least_bytes is None else min(self.least_bytes, least)
        self.most_bytes = most if self.most_bytes is None else max(self.most_bytes, most)

    def _quantile(self, share: float) -> Extent | None:
        if not self.sizes:
            return None
        return Extent(
            *(_quantile(((size[side], count) for size, count in self.sizes.items()), share) for side in (0, 1))
        )


def _quantile(counted: Iterable[tuple[int, int]], share: float) -> int:
    """Return the value below which ``share`` of all lie, of (value, how often) pairs."""
    counts: collections.Counter[int] = collections.Counter()
    for value, count in counted:
        counts[value] += count
    wanted, seen = share * (counts.total() - 1), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen > wanted:
            return value
    raise AssertionError("there are no values")
