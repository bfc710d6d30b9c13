"""Results as HTML for a notebook: facts, tables and figures, in its own colors, light or dark. No TensorFlow.

Every function takes plain values and escapes them. Without matplotlib there are no figures.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_MOST_ROWS = 60
_MOST_LINES = 5
_FAINT = "opacity:.65"
_LEFT, _RIGHT = "text-align:left", "text-align:right"


def report(title: str, note: str, *parts: str) -> str:
    """Return a heading, a faint note and ``parts``, which are HTML, as one block."""
    heading = f'<div role="heading" aria-level="1" style="font-weight:600;margin:.2em 0">{escape(title)}'
    heading += f' <span style="font-weight:400;{_FAINT}">{escape(note)}</span></div>'
    return f'<div style="max-width:60em;overflow-wrap:break-word">{heading}{"".join(parts)}</div>'


def page(title: str, body: str) -> str:
    """Return a whole document that needs no other file, from HTML of the functions here."""
    style = (
        ":root{color-scheme:light dark}body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:62em;"
        "padding:0 1em}table{border-collapse:collapse;margin:.4em 0 1.2em}td{padding:.15em 1em .15em 0;"
        "vertical-align:top}summary{cursor:pointer;width:fit-content}"
        '[aria-level="1"]{font-size:1.4em}[aria-level="1"] span{font-size:.7em}'
        '[aria-level="2"]{font-size:1.15em;margin-top:1.5em!important}'
        ":focus-visible{outline:3px solid #1f6fb2;outline-offset:2px}"
        "@media(prefers-color-scheme:dark){:focus-visible{outline-color:#7db8e8}}"
        # Paper is light, cannot be unfolded, and cannot be scrolled sideways.
        "@media print{:root{color-scheme:light}*{print-color-adjust:exact}img,svg,figure,tr{break-inside:avoid}"
        "[role=heading],summary{break-after:avoid}details::details-content{content-visibility:visible;display:block}"
        "details.lines::details-content{columns:2;font-size:.75em}"
        # Pages break between lines of images, which a flex box does not let them.
        ".strip{display:inline-block!important;break-inside:avoid}.long{display:block!important;break-inside:auto}"
        ".strip figure{display:inline-block;vertical-align:top;margin:0 .6em .6em 0!important}"
        "[role=region]{overflow:visible!important}body{max-width:none;margin:0}}"
        "@media(max-width:500px){td{padding-right:.6em}}"
        "thead+tbody td:first-child{min-width:min(9em,27vw)}"  # names beside many columns on a narrow screen
    )
    screen = '<meta name="viewport" content="width=device-width,initial-scale=1">'
    head = f'<meta charset="utf-8">{screen}<title>{escape(title)}</title><style>{style}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def heading(text: str) -> str:
    """Return the heading of a part of a report."""
    return f'<div role="heading" aria-level="2" style="font-weight:600;margin:1em 0 .2em">{escape(text)}</div>'


def paragraph(text: str) -> str:
    """Return a faint paragraph."""
    return _line(text)


def details(summary: str, body: str, is_open: bool, kind: str = "") -> str:
    """Return HTML that can be unfolded below a line of text; of the kind ``lines``, printed small in two columns."""
    line = f'<summary style="overflow-wrap:anywhere">{escape(summary)}</summary>'
    named = f' class="{kind}"' if kind else ""
    return f"<details{named}{' open' if is_open else ''}>{line}{body}</details>"


def bullets(points: Mapping[str, Sequence[str]]) -> str:
    """Return a list of points, each with lines below it; of many lines all but the first are folded."""
    below = {point: _folded([_line(line) for line in lines]) for point, lines in points.items()}
    entries = (f"<li>{escape(point)}{lines}</li>" for point, lines in below.items())
    return f'<ul style="padding-left:1.2em;overflow-wrap:anywhere">{"".join(entries)}</ul>'


def _folded(lines: Sequence[str]) -> str:
    if len(lines) <= _MOST_LINES + 1:
        return "".join(lines)
    rest = details(f"{len(lines) - _MOST_LINES:,} more lines", "".join(lines[_MOST_LINES:]), False, "lines")
    return "".join(lines[:_MOST_LINES]) + rest


def _line(text: str) -> str:
    return f'<div style="{_FAINT}">{escape(text)}</div>'


def facts(values: Mapping[str, Any]) -> str:
    """Return a table of two columns: names and values. A value that is None is not shown."""
    rows = "".join(
        f'<tr><td style="{_LEFT};{_FAINT}">{escape(name)}</td><td style="{_LEFT};overflow-wrap:anywhere">'
        f"{escape(str(value))}</td></tr>"
        for name, value in values.items()
        if value is not None
    )
    return f"<table>{rows}</table>"


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], total: Sequence[Any] | None = None) -> str:
    """Return a table. Columns whose first cell is a number are aligned to the right, but for the first column.

    Args:
      headings: one for each column.
      rows: cells, one for each column. Beyond 60 rows the rest is counted.
      total: a last row, set apart.
    """
    listed = list(rows)
    aligned = [_LEFT, *(_RIGHT if _is_number(cell) else _LEFT for cell in (listed or [headings])[0][1:])]
    lines = [_row(row, aligned) for row in listed[:_MOST_ROWS]]
    if len(listed) > _MOST_ROWS:
        more = f"and {len(listed) - _MOST_ROWS:,} more"
        lines.append(f'<tr><td colspan="{len(headings)}" style="{_LEFT};{_FAINT}">{more}</td></tr>')
    if total is not None:
        lines.append(_row(total, aligned, "font-weight:600;border-top:1px solid"))
    head = _row(headings, aligned, "font-weight:600")
    # A wide table scrolls by itself; tabindex lets the keyboard scroll it.
    scrolling = f'<div style="overflow-x:auto" tabindex="0" role="region" aria-label="{escape(str(headings[0]))}">'
    return f"{scrolling}<table><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table></div>"


def figure(drawn: Any, alt: str, dots_per_inch: int = 100) -> str:
    """Return a matplotlib Figure as an inline PNG on its own white paper."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=dots_per_inch, bbox_inches="tight", pad_inches=0.2)
    return _image(buffer.getvalue(), "image/png", alt)


def image_file(path: Path, alt: str) -> str:
    """Return a PNG or JPEG file inline; nothing if there is no such file."""
    if not path.is_file():
        return ""
    kind = "image/png" if path.suffix.lower() == ".png" else "image/jpeg"
    return _image(path.read_bytes(), kind, alt)


def training_curves(history: Sequence[Mapping[str, float]]) -> str:
    """Return the curves of the lines of a metrics.jsonl; nothing if there are none or matplotlib is missing."""
    from slim_train.reports.plotting import has_matplotlib
    from slim_train.reports.training_curves import curves_figure, curves_of

    curves = curves_of(history)
    if not curves or not has_matplotlib():
        return ""
    return figure(curves_figure(curves), "training curves")


def _row(cells: Sequence[Any], aligned: Sequence[str], style: str = "") -> str:
    styles = [f"{align};{style}".rstrip(";") for align in aligned]
    entries = (f'<td style="{style}">{_text(cell)}</td>' for style, cell in zip(styles, cells, strict=True))
    return f"<tr>{''.join(entries)}</tr>"


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) or not str(cell).strip("0123456789.,%-+e ")


def _text(cell: Any) -> str:
    return f"{cell:,}" if isinstance(cell, int) else escape(str(cell))


def _image(data: bytes, kind: str, alt: str) -> str:
    encoded = base64.b64encode(data).decode("ascii")
    style = "max-width:100%;background:white;border-radius:4px"
    return f'<img alt="{escape(alt, quote=True)}" style="{style}" src="data:{kind};base64,{encoded}">'
