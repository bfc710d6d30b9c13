"""Formats, colors, sizes and bytes of many images."""

from __future__ import annotations

import json

from datasets.images import ImageHeader
from datasets.inspection.image_stats import Extent, ImageStats


def _stats(*sizes: tuple[int, int], num_bytes: int = 10) -> ImageStats:
    stats = ImageStats()
    for height, width in sizes:
        stats.add(ImageHeader("JPEG", "gray", height, width), num_bytes)
    return stats


def test_height_and_width_have_their_own_least_median_and_greatest() -> None:
    stats = _stats((1, 30), (2, 20), (9, 10))
    assert (stats.smallest(), stats.median(), stats.largest()) == (Extent(1, 10), Extent(2, 20), Extent(9, 30))


def test_the_median_counts_each_image() -> None:
    assert _stats((5, 5), (5, 5), (5, 5), (90, 90), (91, 91)).median() == (5, 5)


def test_of_no_images_nothing_is_said() -> None:
    stats = ImageStats()
    assert (stats.images, stats.smallest(), stats.median(), stats.largest(), stats.most_frequent()) == (
        0,
        *[None] * 3,
        [],
    )


def test_the_most_frequent_sizes_come_first() -> None:
    assert _stats((1, 2), (3, 4), (3, 4), (5, 6)).most_frequent(2) == [((3, 4), 2), ((1, 2), 1)]


def test_merged_counts_are_those_of_all_images() -> None:
    whole, part = _stats((1, 2), num_bytes=7), _stats((3, 4), (1, 2), num_bytes=9)
    whole.merge(part)
    whole.merge(ImageStats())
    assert whole.images == 3
    assert whole.sizes == {(1, 2): 2, (3, 4): 1}
    assert (whole.num_bytes, whole.least_bytes, whole.most_bytes) == (25, 7, 9)


def test_counts_are_the_same_after_json() -> None:
    stats = _stats((1, 2), (3, 4))
    assert ImageStats.from_json(json.loads(json.dumps(stats.as_json()))) == stats
