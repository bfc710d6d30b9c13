"""Small charts of shares, from 0 to 1 in both directions, as SVG inside HTML: light and dark, for any screen.

Lines differ in color and in dashes. No TensorFlow, no matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from slim_train.reports.plotting import BLUE, ORANGE

# Units of the drawing: it is as wide as there is room, up to 26em.
_SIDE, _LEFT, _BOTTOM, _TOP, _RIGHT = 240, 44, 40, 10, 16
_COLORS, _DASHES = (BLUE, ORANGE), ("", "6 4")
_TICKS = (0, 0.25, 0.5, 0.75, 1)
_MOST_RADIUS, _LEAST_RADIUS = 6.0, 2.0


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
      name: for the legend.
      points: x and y, each from 0 to 1.
      weights: of each point, such as its number of images: the area of its dot. None draws no dots.
    """

    name: str
    points: Sequence[tuple[float, float]]
    weights: Sequence[float] | None = None


def share_chart(title: str, x_name: str, y_name: str, lines: Sequence[Line], with_diagonal: bool = False) -> str:
    """Return a chart of at most two lines.

    Args:
      title: what it shows, for those who cannot see it.
      x_name, y_name: names of the axes.
      lines: what to draw.
      with_diagonal: whether to draw the line where both are equal.
    """
    assert len(lines) <= len(_COLORS)
    parts = [_axes(x_name, y_name)]
    if with_diagonal:
        (x0, y0), (x1, y1) = _place(0, 0), _place(1, 1)
        parts.append(
            f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="currentColor" opacity=".5"/>'
        )
    styles = list(zip(_COLORS, _DASHES, strict=True))[: len(lines)]
    for line, (color, dash) in zip(lines, styles, strict=True):
        parts.append(_line(line, color, dash))
    width, height = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM
    svg = (
        f'<svg role="img" aria-label="{escape(title, quote=True)}" viewBox="0 0 {width} {height}" '
        f'style="width:100%;max-width:26em;height:auto;display:block;font-size:11px">{"".join(parts)}</svg>'
    )
    return f'<div style="flex:1 1 18em;max-width:26em;min-width:0">{svg}{_legend(lines, styles)}</div>'


def side_by_side(*charts: str) -> str:
    """Return charts beside each other, or below each other on a narrow screen."""
    return f'<div style="display:flex;flex-wrap:wrap;gap:1em 2em;margin:.4em 0 1em">{"".join(charts)}</div>'


def _place(x: float, y: float) -> tuple[float, float]:
    return _LEFT + x * _SIDE, _TOP + (1 - y) * _SIDE


def _axes(x_name: str, y_name: str) -> str:
    parts = []
    for tick in _TICKS:
        (x, bottom), (left, y) = _place(tick, 0), _place(0, tick)
        parts.append(
            f'<line x1="{left}" y1="{y}" x2="{left + _SIDE}" y2="{y}" stroke="currentColor" opacity=".15"/>'
            f'<text x="{left - 6}" y="{y + 4}" text-anchor="end" fill="currentColor" opacity=".75">{tick:.0%}</text>'
            f'<text x="{x}" y="{bottom + 16}" text-anchor="middle" fill="currentColor" opacity=".75">{tick:.0%}</text>'
        )
    middle_x, middle_y = _place(0.5, 0.5)
    bottom = _TOP + _SIDE + 33
    parts.append(f'<text x="{middle_x}" y="{bottom}" text-anchor="middle" fill="currentColor">{escape(x_name)}</text>')
    parts.append(
        f'<text transform="translate(10 {middle_y}) rotate(-90)" text-anchor="middle" fill="currentColor">'
        f"{escape(y_name)}</text>"
    )
    return "".join(parts)


def _line(line: Line, color: str, dash: str) -> str:
    places = [_place(x, y) for x, y in line.points]
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    parts = [f'<polyline points="{joined}" fill="none" stroke="{color}" stroke-width="2"{dashes}/>']
    weights = line.weights or ([1] if len(set(places)) == 1 else None)  # a line of one point would not be seen
    if weights:
        most = max(weights)
        for (x, y), weight in zip(places, weights, strict=False):
            radius = max(_LEAST_RADIUS, _MOST_RADIUS * (weight / most) ** 0.5)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{color}"/>')
    return "".join(parts)


def _legend(lines: Sequence[Line], styles: Sequence[tuple[str, str]]) -> str:
    entries = (
        f'<span style="white-space:nowrap;margin-right:1em"><svg width="28" height="8" aria-hidden="true">'
        f'<line x1="0" y1="4" x2="28" y2="4" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"/></svg> '
        f"{escape(line.name)}</span>"
        for line, (color, dash) in zip(lines, styles, strict=True)
        if line.name
    )
    return f'<div style="font-size:.9em">{"".join(entries)}</div>'
