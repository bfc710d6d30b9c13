"""Images with equal or near fingerprints, in groups. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.duplicates.fingerprints import BYTES, LEVELS, NEAR, PIXELS, Fingerprint
from datasets.duplicates.hamming import near_groups

# Bits of 64. Resized and re-encoded copies seldom differ in more, different photographs seldom in less.
DISTANCE = 4


def group_numbers(prints: Sequence[Fingerprint], level: str, distance: int = DISTANCE) -> NDArray[np.int64]:
    """Return for each image the number of its group [N]: the index of the first image in it.

    Args:
      prints: the fingerprints, computed for ``level`` or more.
      level: bytes, pixels or near.
      distance: bits in which perceptual hashes of near-duplicates may differ.
    """
    if not prints:
        return np.zeros(0, np.int64)
    if level == NEAR:
        return near_groups(np.array([int(of.near, 16) for of in prints], np.uint64), distance)
    texts = np.array([of.bytes if level == BYTES else of.pixels for of in prints])
    _, first, inverse = np.unique(texts, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)]


def groups_of(numbers: NDArray[np.int64]) -> list[list[int]]:
    """Return the groups of two and more images, as indices, in the order of their first images."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    return [group.tolist() for group in np.split(order, starts[1:]) if len(group) > 1]


def likeness(one: Fingerprint, other: Fingerprint) -> str:
    """Return by what two images of a group are alike: bytes, pixels or near."""
    if one.bytes == other.bytes:
        return BYTES
    return PIXELS if one.pixels and one.pixels == other.pixels else NEAR


def levels_up_to(level: str) -> tuple[str, ...]:
    """Return the level and those that it includes."""
    return LEVELS[: LEVELS.index(level) + 1]
