"""Groups of 64-bit hashes that differ in a few bits, found without comparing every pair. No TensorFlow.

If two hashes that differ in up to d bits are cut into d + 1 bands, at least one band is equal. So only hashes with an
equal band are compared (multi-index hashing: Norouzi et al., 2012).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.duplicates.fingerprints import HASH_BITS

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]
AreNear = Callable[[Numbers, Numbers], NDArray[np.bool_]]


def near_groups(
    hashes: Hashes,
    distance: int,
    are_near: AreNear | None = None,
    masks: Sequence[int] = (),
    most_neighbors: int | None = None,
) -> Numbers:
    """Return for each hash the number of its group [N].

    Hashes that differ in up to ``distance`` bits are in one group, and so are those that others between them connect.
    The number of a group is the index of its first hash. Memory grows with N only.

    Args:
      hashes: uint64 [N]; equal ones may be among them.
      distance: bits.
      are_near: looks once more at pairs of hashes that are near. It is called with indices, [pairs] and [pairs], of the
        first images with each hash; pairs of equal hashes are not asked for.
      masks: bits of which those of at least one must be equal, or two hashes are not compared. By default no pair is
        missed, and of very many hashes very many are compared.
      most_neighbors: hashes that one hash is compared with by each mask. Default: all.
    """
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)

    def check(one: Numbers, other: Numbers) -> NDArray[np.bool_]:
        is_near = bit_count(unique[one] ^ unique[other]) <= distance
        if are_near:
            is_near[is_near] = are_near(first[one[is_near]], first[other[is_near]])
        return is_near

    groups = Groups(len(unique))
    for mask in masks or _bands(distance + 1):
        _join_band(groups, unique & np.uint64(mask), check, most_neighbors)
    roots = groups.roots()
    firsts = np.full(len(unique), len(hashes), np.int64)
    np.minimum.at(firsts, roots, first)
    return firsts[roots][inverse.reshape(-1)]


def _bands(count: int) -> list[int]:
    """Return masks that cut a hash into parts of about as many bits."""
    edges = [HASH_BITS * band // count for band in range(count + 1)]
    return [(1 << high) - (1 << low) for low, high in itertools.pairwise(edges)]


def _join_band(groups: Groups, values: Hashes, check: AreNear, most_neighbors: int | None) -> None:
    """Join what is near, of that with equal values."""
    order = np.argsort(values, kind="stable")
    values = values[order]
    left = np.arange(len(order))
    # The neighbors at 1, 2, 3, ... places in the order: equal values lie beside each other.
    step = 0
    while len(left) and (most_neighbors is None or step < most_neighbors):
        step += 1
        left = left[left + step < len(order)]
        left = left[values[left] == values[left + step]]
        first, second = order[left], order[left + step]
        apart = groups.are_apart(first, second)
        first, second = first[apart], second[apart]
        is_near = check(first, second)
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
        while len(first):
            roots = self.roots()
            low, high = np.minimum(roots[first], roots[second]), np.maximum(roots[first], roots[second])
            apart = low != high
            first, second, low, high = first[apart], second[apart], low[apart], high[apart]
            # A root gets one new parent, below it, so that there is no circle. Pairs that are left come again.
            np.minimum.at(roots, high, low)
            self._parents = roots

    def are_apart(self, first: Numbers, second: Numbers) -> NDArray[np.bool_]:
        """Return which pairs may not be in one group yet; most pairs of a large group were joined before."""
        return self._parents[first] != self._parents[second]

    def roots(self) -> Numbers:
        """Return the least index of each group, for each of its members [N]."""
        while True:
            grandparents = self._parents[self._parents]
            if (grandparents == self._parents).all():
                return grandparents
            self._parents = grandparents
