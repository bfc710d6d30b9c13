"""Images per class as bars: in HTML, and in characters for a terminal. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from slim_train.reports.plotting import BLUE, ORANGE

MOST_CLASSES = 60
_COLORS = (BLUE, ORANGE, "#3d8b5f", "#8a5fb0", "#7b8794")
_FAINT = "opacity:.65"
_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(count: int, most: int, width: int, is_ascii: bool = False) -> str:
    """Return a bar of up to ``width`` characters; a count above 0 is always seen."""
    if not most or not count:
        return ""
    if is_ascii:
        return "#" * max(1, round(width * count / most))
    whole, part = divmod(max(1, round(8 * width * count / most)), 8)
    return "█" * whole + _EIGHTHS[part].strip()


def between(counts: Sequence[int], first: Sequence[int], last: Sequence[int]) -> list[int]:
    """Return the labels that are neither among the first nor the last, those with the most images first."""
    shown = {*first, *last}
    return sorted((label for label in range(len(counts)) if label not in shown), key=lambda label: -counts[label])


def left_out(counts: Sequence[int], labels: Sequence[int]) -> str:
    """Return a line for the classes between: how many, and how many images they have."""
    numbers = [counts[label] for label in labels]
    extent = f"{min(numbers):,} to {max(numbers):,}" if min(numbers) < max(numbers) else f"{numbers[0]:,}"
    return f"{len(labels):,} more, {extent} images each"


def class_bars(labels: Sequence[str], splits: Mapping[str, Sequence[int]], with_all: bool) -> str:
    """Return a table with a bar for each class, in HTML: of more than 60 the largest and the smallest.

    Args:
      labels: class names by label.
      splits: split -> images by label.
      with_all: whether the others can be unfolded.
    """
    from datasets.inspection.result import extremes_of  # not at the top: commands check first that this package is ours

    counts = [sum(column) for column in zip(*splits.values(), strict=True)]
    first, last = extremes_of(dict(enumerate(counts)), MOST_CLASSES)
    colors = {split: _COLORS[min(index, len(_COLORS) - 1)] for index, split in enumerate(splits)}

    def rows(shown: Sequence[int]) -> str:
        lines = (
            _row(labels[label], [(colors[split], of[label]) for split, of in splits.items()], max(counts))
            for label in shown
        )
        return f'<table style="width:100%;table-layout:fixed;margin:0">{_COLUMNS}{"".join(lines)}</table>'

    parts = [_legend(colors) if len(splits) > 1 else "", rows(first)]
    if last:
        folded = between(counts, first, last)
        text = left_out(counts, folded)
        if with_all:
            parts.append(f'<details><summary style="{_FAINT}">{text}</summary>{rows(folded)}</details>')
        else:
            parts.append(f'<div style="{_FAINT}">{text}</div>')
        parts.append(rows(last))
    return f'<div style="max-width:52em">{"".join(parts)}</div>'


_COLUMNS = '<colgroup><col style="width:32%"><col style="width:5em"><col></colgroup>'


def _row(name: str, counts: Sequence[tuple[str, int]], most: int) -> str:
    total = sum(count for _, count in counts)
    segments = "".join(
        f'<span title="{count:,}" style="display:inline-block;height:.8em;vertical-align:middle;background:{color};'
        f'width:{100 * count / most:.2f}%;min-width:1px"></span>'
        for color, count in counts
        if count
    )
    return (
        f'<tr><td style="text-align:left;overflow-wrap:anywhere;white-space:normal">{escape(name)}</td>'
        f'<td style="text-align:right">{total:,}</td>'
        f'<td style="text-align:left;white-space:nowrap">{segments}</td></tr>'
    )


def _legend(colors: Mapping[str, str]) -> str:
    entries = (
        f'<span style="display:inline-block;width:.8em;height:.8em;background:{color}"></span> {escape(split)} &nbsp; '
        for split, color in colors.items()
    )
    return f"<div>{''.join(entries)}</div>"
