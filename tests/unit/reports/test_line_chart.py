"""Small charts of shares as SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from slim_train.reports.line_chart import Line, share_chart, side_by_side


def test_points_lie_where_their_shares_say_and_heavy_ones_are_larger():
    html = share_chart("Shares", "a", "b", [Line("<x>", [(0, 0), (1, 1)], [100, 1])], with_diagonal=True)
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', html)
    (x0, y0, r0), (x1, y1, r1) = (map(float, dot) for dot in dots)
    assert (x0 < x1, y0 > y1, r0 > r1) == (True, True, True)
    assert "&lt;x&gt;" in html


def test_the_chart_is_well_formed_and_named_for_those_who_cannot_see_it():
    root = ElementTree.fromstring(side_by_side(share_chart('The "chart"', "a & b", "c", [Line("", [(0.5, 0.5)])])))
    (svg,) = (node for node in root.iter("svg") if node.get("role") == "img")
    assert svg.get("aria-label") == 'The "chart"'
    assert "a & b" in "".join(svg.itertext())


def test_lines_differ_in_dashes_too():
    html = share_chart("Two", "a", "b", [Line("one", [(0, 0), (1, 1)]), Line("two", [(0, 1), (1, 0)])])
    assert [bool(re.search("dasharray", line)) for line in re.findall("<polyline.*?/>", html)] == [False, True]


def test_a_line_of_equal_points_is_seen_as_a_dot():
    assert share_chart("One", "a", "b", [Line("", [(1, 1), (1, 1)])]).count("<circle") == 1
    assert "<circle" not in share_chart("Two", "a", "b", [Line("", [(0, 1), (1, 1)])])
