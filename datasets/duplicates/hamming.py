"""Groups of 64-bit hashes that differ in a few bits, found without comparing every pair. No TensorFlow.

If two hashes that differ in up to d bits are cut into d + 1 bands, at least one band is equal. So only hashes with an
equal band are compared (multi-index hashing: Norouzi et al., 2012).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from datasets.duplicates.fingerprints import HASH_BITS

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]


def near_groups(hashes: Hashes, distance: int) -> Numbers:
    """Return for each hash the number of its group [N].

    Hashes that differ in up to ``distance`` bits are in one group, and so are those that others between them connect.
    The number of a group is the index of its first hash. Memory grows with N only.

    Args:
      hashes: uint64 [N]; equal ones may be among them.
      distance: bits.
    """
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    groups = Groups(len(unique))
    bands = distance + 1
    edges = [HASH_BITS * band // bands for band in range(bands + 1)]
    for low, high in itertools.pairwise(edges):
        mask = np.uint64((1 << (high - low)) - 1)
        _join_band(groups, unique, (unique >> np.uint64(low)) & mask, distance)
    roots = groups.roots()
    firsts = np.full(len(unique), len(hashes), np.int64)
    np.minimum.at(firsts, roots, first)
    return firsts[roots][inverse.reshape(-1)]


def _join_band(groups: Groups, hashes: Hashes, values: Hashes, distance: int) -> None:
    """Join hashes that are near, of those with equal values."""
    order = np.argsort(values, kind="stable")
    values = values[order]
    left = np.arange(len(order))
    # The neighbors at 1, 2, 3, ... places in the order: equal values lie beside each other.
    step = 0
    while len(left):
        step += 1
        left = left[left + step < len(order)]
        left = left[values[left] == values[left + step]]
        first, second = order[left], order[left + step]
        is_near = bit_count(hashes[first] ^ hashes[second]) <= distance
        groups.join(first[is_near], second[is_near])


def bit_count(numbers: Hashes) -> NDArray[np.uint8]:
    """Return how many bits of each number are set; ``np.bitwise_count`` is new in NumPy 2."""
    if hasattr(np, "bitwise_count"):
        counted: NDArray[np.uint8] = np.bitwise_count(numbers)
        return counted
    as_bytes = np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 8)
    return _BITS_OF_BYTE[as_bytes].sum(axis=1, dtype=np.uint8)


_BITS_OF_BYTE = np.array([bin(number).count("1") for number in range(256)], np.uint8)


class Groups:
    """N things that are joined into groups, pair by pair."""

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count)

    def join(self, first: Numbers, second: Numbers) -> None:
        """Join the groups of pairs: indices [pairs] and [pairs]."""
        apart = self._parents[first] != self._parents[second]  # most pairs of a large group were joined before
        first, second = first[apart], second[apart]
        while len(first):
            roots = self.roots()
            low, high = np.minimum(roots[first], roots[second]), np.maximum(roots[first], roots[second])
            apart = low != high
            first, second, low, high = first[apart], second[apart], low[apart], high[apart]
            # A root gets one new parent, below it, so that there is no circle. Pairs that are left come again.
            np.minimum.at(roots, high, low)
            self._parents = roots

    def roots(self) -> Numbers:
        """Return the least index of each group, for each of its members [N]."""
        while True:
            grandparents = self._parents[self._parents]
            if (grandparents == self._parents).all():
                return grandparents
            self._parents = grandparents
