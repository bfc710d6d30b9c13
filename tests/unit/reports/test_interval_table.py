"""Shares with their intervals as a table."""

from __future__ import annotations

import re

import pytest

from slim_train.reports.interval_table import Share, interval_table


def test_names_are_escaped_and_intervals_can_be_read_without_the_drawing():
    html = interval_table("<camera>", "images", "accuracy", [Share("<Leica>", 1200, 0.5, 0.41, 0.59)], 0.6)
    assert "&lt;camera&gt;" in html
    assert "&lt;Leica&gt;" in html
    assert "<Leica>" not in html
    assert 'aria-label="41.0% to 59.0%"' in html
    assert "1,200" in html


@pytest.mark.parametrize(
    ("low", "high", "ends"), [(0.41, 0.59, ["40%", "60%"]), (0.0, 0.0, ["0%", "20%"]), (1.0, 1.0, ["80%", "100%"])]
)
def test_the_scale_holds_all_intervals_and_all_places_lie_on_it(low, high, ends):
    html = interval_table("a", "images", "accuracy", [Share("b", 3, low, low, high)], high)
    assert re.search(r"<span>(\d+%)</span>(\d+%)</div>", html).groups() == tuple(ends)
    places = [float(place) for place in re.findall(r'(?:x1|x2|cx)="(-?[\d.]+)%"', html)]
    assert min(places) >= 0
    assert max(places) <= 100
