"""Groups of near hashes, against the comparison of every pair."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.duplicates import hamming
from datasets.duplicates.hamming import Groups, bit_count, near_groups


def _by_all_pairs(hashes: np.ndarray, distance: int) -> list[int]:
    numbers = list(range(len(hashes)))
    for one in range(len(hashes)):
        for other in range(one):
            if bin(int(hashes[one]) ^ int(hashes[other])).count("1") <= distance:
                low, high = sorted((numbers[one], numbers[other]))
                numbers = [low if number == high else number for number in numbers]
    return numbers


@pytest.mark.parametrize("distance", [0, 1, 4, 7, 12])
def test_groups_are_those_of_all_pairs(distance: int) -> None:
    random = np.random.default_rng(distance)
    first = random.integers(0, 2**64, 60, np.uint64)
    copies = [first]
    for bits in range(1, 14):
        flipped = first[:20].copy()
        for bit in random.choice(64, bits, replace=False):
            flipped ^= np.uint64(1) << np.uint64(bit)
        copies.append(flipped)
    hashes = random.permutation(np.concatenate([*copies, first[:5]]))
    assert near_groups(hashes, distance).tolist() == _by_all_pairs(hashes, distance)


def test_a_chain_of_near_hashes_is_one_group() -> None:
    chain = np.array([(1 << length) - 1 for length in range(0, 64, 4)], np.uint64)
    assert near_groups(chain, 4).tolist() == [0] * 16
    assert near_groups(chain, 3).tolist() == list(range(16))


def test_a_hundred_thousand_hashes_of_which_many_share_a_band_take_little_memory() -> None:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, 100_000, np.uint64)
    hashes[:3000] &= np.uint64(2**52 - 1)  # one band is equal in all of these
    hashes[-100:] = hashes[:100] ^ np.uint64(0b1011)
    numbers = near_groups(hashes, 4)
    assert numbers[-100:].tolist() == list(range(100))
    assert len(np.unique(numbers)) == 99_900


def test_no_hashes_have_no_groups() -> None:
    assert near_groups(np.zeros(0, np.uint64), 4).tolist() == []


@pytest.mark.parametrize("is_old_numpy", [False, True])
def test_bits_are_counted(monkeypatch: pytest.MonkeyPatch, is_old_numpy: bool) -> None:
    if is_old_numpy:
        monkeypatch.delattr(hamming.np, "bitwise_count", raising=False)
    assert bit_count(np.array([0, 1, 2**64 - 1, 0xF0F0], np.uint64)).tolist() == [0, 1, 64, 8]


def test_groups_are_joined_in_any_order() -> None:
    groups = Groups(6)
    groups.join(np.array([5, 4, 4]), np.array([4, 2, 3]))
    groups.join(np.array([1]), np.array([1]))
    assert groups.roots().tolist() == [0, 1, 2, 2, 2, 2]
