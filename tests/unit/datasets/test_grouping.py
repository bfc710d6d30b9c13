"""Groups by file names."""

from __future__ import annotations

import logging

import pytest

from datasets.errors import DataError
from datasets.grouping import groups_by_name, merged


def test_the_group_is_what_the_parentheses_match(caplog: pytest.LogCaptureFixture) -> None:
    names = ["sick/p1_a.jpg", "well/p1_b.jpg", "sick/p2_a.jpg", "sick/x.jpg", "well/\udcffé_1.jpg"]
    with caplog.at_level(logging.WARNING):
        groups = groups_by_name(names, "([^_]+)_.*")
    assert groups == {names[0]: "p1", names[1]: "p1", names[2]: "p2", names[4]: "\udcffé"}
    assert (
        "--group_by=([^_]+)_.* does not match 1 of 5 images, which are groups by themselves: sick/x.jpg." in caplog.text
    )


def test_a_pattern_with_a_slash_matches_the_path() -> None:
    assert groups_by_name(["a/p1/1.jpg", "b/p1/2.jpg"], r"[^/]+/([^/]+)/.*") == {"a/p1/1.jpg": "p1", "b/p1/2.jpg": "p1"}


def test_several_parentheses_are_one_group_together() -> None:
    groups = groups_by_name(["a/x1_y_1.jpg", "a/x1_z_1.jpg", "a/x1_y_2.jpg"], r"(\w)1_(.)?_.*")
    assert groups["a/x1_y_1.jpg"] == groups["a/x1_y_2.jpg"] != groups["a/x1_z_1.jpg"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "is not a regular expression: missing \\)"),
        ("a{99999999999}(b)", "is not a regular expression"),
        ("[^_]+_.*", "has no group: put the part"),
        ("(z)_.*", "matches no file name; the first is 'p1_a.jpg'"),
        ("(z)/.*", "matches no path; the first is 'sick/p1_a.jpg'"),
        (f"({'a' * 1001})", "is longer than 1,000 characters"),
    ],
)
def test_patterns_that_make_no_groups_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        groups_by_name(["sick/p1_a.jpg"], pattern)


def test_a_pattern_that_takes_for_ever_is_given_up() -> None:
    with pytest.raises(DataError, match=r"takes more than 1 s on 1 names: remove repeats inside repeats"):
        groups_by_name([f"cat/{'a' * 200}.jpg"], "(a+)+b", most_seconds=1)


def test_groups_that_share_an_image_are_merged() -> None:
    by_name = {"a": "p1", "b": "p1", "c": "p2", "d": "p3"}
    duplicates = {"b": "b", "c": "b", "x": "x", "y": "x"}
    groups = merged(by_name, duplicates)
    assert groups == {"a": "p1", "b": "p1", "c": "p1", "d": "p3", "x": "x", "y": "x"}
    assert merged({}, {}) == {}
