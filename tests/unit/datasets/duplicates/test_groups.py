"""Fingerprints to groups."""

from __future__ import annotations

from datasets.duplicates.fingerprints import BYTES, NEAR, PIXELS, Fingerprint
from datasets.duplicates.groups import group_numbers, groups_of, levels_up_to, likeness

PRINTS = [
    Fingerprint("a", "x", "0f"),
    Fingerprint("b", "y", "f0"),
    Fingerprint("c", "x", "0f"),
    Fingerprint("a", "x", "0f"),
    Fingerprint("d", "z", "0e"),
]


def test_each_level_includes_the_one_before() -> None:
    assert group_numbers(PRINTS, BYTES).tolist() == [0, 1, 2, 0, 4]
    assert group_numbers(PRINTS, PIXELS).tolist() == [0, 1, 0, 0, 4]
    assert group_numbers(PRINTS, NEAR, 1).tolist() == [0, 1, 0, 0, 0]
    assert group_numbers([], NEAR).tolist() == []
    assert levels_up_to(PIXELS) == (BYTES, PIXELS)


def test_groups_have_two_images_or_more() -> None:
    assert groups_of(group_numbers(PRINTS, PIXELS)) == [[0, 2, 3]]


def test_two_images_are_alike_by_the_strictest_measure() -> None:
    assert [likeness(PRINTS[0], PRINTS[index]) for index in (3, 2, 4)] == [BYTES, PIXELS, NEAR]
    assert likeness(Fingerprint("a"), Fingerprint("b")) == NEAR
