"""Shares with their intervals as a table, with a drawing in each row: light and dark. No TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from slim_train.reports.plotting import BLUE

_HEIGHT, _RADIUS = 14, 4  # pixels of a row's drawing, which is as wide as there is room
_STEP, _LEAST_SPAN = 0.1, 0.2  # of the scale


class Share(NamedTuple):
    """A row.

    Attributes:
      name: what the share is of.
      images: of what it is a share.
      value: from 0 to 1.
      low, high: its interval.
    """

    name: str
    images: int
    value: float
    low: float
    high: float


def interval_table(name: str, counted: str, shared: str, shares: Sequence[Share], reference: float) -> str:
    """Return a table of names, counts, and shares as numbers and as dots with their intervals.

    Args:
      name, counted, shared: headings of these columns.
      shares: the rows.
      reference: a share that a line marks in each row, such as that of all.
    """
    first, last = _scale([*(end for share in shares for end in share[-2:]), reference])
    style = "display:flex;justify-content:space-between;font-size:.85em;font-weight:400;opacity:.65"
    ends = f'<div style="{style}"><span>{first:.0%}</span>{last:.0%}</div>'
    columns = (
        ("left", escape(name)),
        ("right", escape(counted)),
        ("right", escape(shared)),
        ("left", ends),
    )
    head = "".join(f'<td style="text-align:{align};font-weight:600">{text}</td>' for align, text in columns)
    rows = "".join(_row(share, reference, first, last) for share in shares)
    region = f'<div style="overflow-x:auto" tabindex="0" role="region" aria-label="{escape(name, quote=True)}">'
    table = f'<table style="width:100%;max-width:40em"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f"{region}{table}</div>"


def _scale(ends: Sequence[float]) -> tuple[float, float]:
    """Return round ends of a scale that holds all intervals: few per cent would not be seen from 0 to 1."""
    first, last = math.floor(min(ends) / _STEP), math.ceil(max(ends) / _STEP)
    while (last - first) * _STEP < _LEAST_SPAN:
        first, last = max(first - 1, 0), min(last + 1, round(1 / _STEP))
    return first * _STEP, last * _STEP


def _row(share: Share, reference: float, first: float, last: float) -> str:
    interval = f"{share.low:.1%} to {share.high:.1%}"

    def place(part: float) -> str:
        return f"{(part - first) / (last - first):.2%}"

    middle = _HEIGHT // 2
    at, low, high = map(place, (reference, share.low, share.high))
    drawing = (
        f'<svg role="img" aria-label="{interval}" height="{_HEIGHT}" '
        'style="width:100%;min-width:5.5em;display:block;overflow:visible">'
        f'<line x1="0" x2="100%" y1="{middle}" y2="{middle}" stroke="currentColor" opacity=".2"/>'
        f'<line x1="{at}" x2="{at}" y1="-5" y2="{_HEIGHT + 5}" stroke="currentColor" opacity=".6"/>'
        f'<line x1="{low}" x2="{high}" y1="{middle}" y2="{middle}" stroke="{BLUE}" stroke-width="3"/>'
        f'<circle cx="{place(share.value)}" cy="{middle}" r="{_RADIUS}" fill="{BLUE}"/></svg>'
    )
    return (
        f'<tr><td style="overflow-wrap:anywhere">{escape(share.name)}</td>'
        f'<td style="text-align:right">{share.images:,}</td><td style="text-align:right">{share.value:.1%}</td>'
        f'<td style="vertical-align:middle;width:40%" title="{interval}">{drawing}</td></tr>'
    )
