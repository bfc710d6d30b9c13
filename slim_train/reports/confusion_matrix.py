"""The confusion matrix as an image, readable from 2 to 1,000 classes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

from slim_train.reports.fonts import drawable_labels
from slim_train.reports.plotting import FAINT_INK, INK, has_matplotlib, new_figure, save_figure, text_style

_DOTS_PER_INCH = 160
_LONGEST_LABEL = 26  # Columns of a terminal, in which a Chinese character takes two.
_SMALLEST_COUNT, _SMALLEST_LABEL, _LARGEST_TEXT = 5.0, 5.5, 11.0  # Points.
_CHARACTER_WIDTH = 0.64  # Of a digit or an average letter, as a share of the text size.
# RGB of the palest and the fullest shade.
_RIGHT = np.array([[244, 247, 250], [13, 84, 153]], np.float32)
_WRONG = np.array([[250, 248, 247], [204, 69, 8]], np.float32)


def draw_confusion_matrix(
    path: Path,
    matrix: NDArray[np.integer],
    labels: Sequence[str],
    note: str = "",
    support: NDArray[np.integer] | None = None,
) -> bool:
    """Draw how often each class was taken for each other one, as PNG.

    A cell shows its count and its share of the true class if there is room for them, and is the darker the larger
    the share: blue on the diagonal, orange where the prediction was wrong.

    Args:
      path: the file to write.
      matrix: counts [C, C]; row: true class, column: predicted class.
      labels: a name for each class, in any script.
      note: a line below the title.
      support: images of each true class, [C], if some of them were classified as a class that is not drawn.

    Returns:
      Whether it was drawn: it is not where matplotlib is missing, which the log then says.
    """
    if not has_matplotlib():
        return False
    save_figure(confusion_figure(matrix, labels, note, support), path, _DOTS_PER_INCH)
    return True


def confusion_figure(
    matrix: NDArray[np.integer], labels: Sequence[str], note: str = "", support: NDArray[np.integer] | None = None
) -> Any:
    """Return the drawing of :func:`draw_confusion_matrix` as a matplotlib Figure."""
    assert matrix.shape == (len(labels), len(labels)), (matrix.shape, len(labels))
    num_classes = len(labels)
    side = min(1.3 * num_classes, 5 + 0.07 * num_classes, 14)  # Inches.
    cell = side * 72 / num_classes  # Points.
    totals = matrix.sum(axis=1) if support is None else support
    shares = matrix / np.maximum(totals, 1)[:, np.newaxis]
    # Confusions of a few per cent are what one looks for: a power brings them out, the more the smaller the cells are.
    power = float(np.clip(cell / 40, 0.3, 0.6))

    figure = new_figure(side, side)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(_colours(shares**power, np.eye(num_classes, dtype=bool)), interpolation="nearest")
    axes.spines[:].set_visible(False)
    _name_classes(axes, [_shorten(label) for label in drawable_labels(labels)], cell)
    if cell > 12:
        _separate_cells(axes, num_classes)
    _write_counts(axes, matrix, shares, cell)
    _add_scale(figure, side, power)
    _add_title(axes, note)
    return figure


def _colours(strength: NDArray[np.floating], is_right: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """RGB [..., 3] of cells with a strength from 0 to 1: shades of one color where right, of another where wrong."""
    strength = strength.astype(np.float32)[..., np.newaxis]
    right, wrong = ((1 - strength) * pale + strength * full for pale, full in (_RIGHT, _WRONG))
    return np.where(is_right[..., np.newaxis], right, wrong).astype(np.uint8)


def _name_classes(axes: Any, labels: list[str], cell: float) -> None:
    size = float(np.clip(cell * 0.75, _SMALLEST_LABEL, _LARGEST_TEXT))
    # Where a cell is lower than a line of text, only each 2nd, 5th, 10th, ... class is named.
    steps = (factor * 10**power for power in itertools.count() for factor in (1, 2, 5))
    shown = range(0, len(labels), next(step for step in steps if step * cell >= 1.1 * size))
    longest = max(cell_len(labels[index]) for index in shown) * _CHARACTER_WIDTH * size
    if longest <= 0.95 * cell:
        slant: dict[str, Any] = {}
    elif len(shown) <= 20:
        slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    else:
        slant = {"rotation": 90}
    for axis, style in ((axes.xaxis, slant), (axes.yaxis, {})):
        axis.set_ticks(list(shown), [labels[index] for index in shown])
        axis.set_tick_params(length=2 if len(shown) < len(labels) else 0, color=FAINT_INK, pad=3)
        for tick, index in zip(axis.get_ticklabels(), shown, strict=True):
            tick.set(**text_style(labels[index], size, color=INK, **style))
    axes.set_xlabel("predicted", color=FAINT_INK, fontsize=_LARGEST_TEXT, labelpad=8)
    axes.set_ylabel("true", color=FAINT_INK, fontsize=_LARGEST_TEXT, labelpad=8)


def _separate_cells(axes: Any, num_classes: int) -> None:
    for draw_line in (axes.axhline, axes.axvline):
        for index in range(num_classes + 1):
            draw_line(index - 0.5, color="white", linewidth=1)


def _write_counts(axes: Any, matrix: NDArray[np.integer], shares: NDArray[np.floating], cell: float) -> None:
    """Write the counts, and below them the shares if there is room for two lines; zeros stay blank."""
    has_share = cell >= 36
    digits = "," if has_share else "d"
    size = min(_LARGEST_TEXT, 0.42 * cell, 0.85 * cell / (_CHARACTER_WIDTH * len(f"{matrix.max():{digits}}")))
    if size < _SMALLEST_COUNT:
        return
    line = size / cell  # Height of a line of text in rows.
    for row, column in np.argwhere(matrix):
        share = shares[row, column]
        colour = "white" if share > 0.4 else INK
        style = {"ha": "center", "va": "center", "color": colour}
        axes.text(column, row - 0.55 * line * has_share, f"{matrix[row, column]:{digits}}", fontsize=size, **style)
        if has_share:
            axes.text(column, row + 0.9 * line, f"{share:.1%}", fontsize=0.72 * size, alpha=0.8, **style)


def _add_scale(figure: Any, side: float, power: float) -> None:
    """Add the legend of the colors at the right."""
    height = min(2.2, 0.7 * side)
    axes = figure.add_axes((1 + 0.25 / side, 1 - (height + 0.35) / side, 0.4 / side, height / side))
    strength = np.repeat(np.linspace(1, 0, 256)[:, np.newaxis], 2, axis=1)
    colours = _colours(strength, np.array([[True, False]]))
    axes.imshow(colours, aspect="auto", extent=(0, 2, 0, 1), interpolation="nearest")
    axes.axvline(1, color="white", linewidth=1.5)
    axes.spines[:].set_visible(False)
    small = {"fontsize": 7.5, "color": FAINT_INK}
    axes.set_xticks([0.5, 1.5], ["right", "wrong"], rotation=90, **small)
    shares = [share for share in (0, 0.01, 0.1, 0.25, 0.5, 1) if share == 0 or share**power > 0.1]
    axes.set_yticks([share**power for share in shares], [f"{share:.0%}" for share in shares], **small)
    axes.yaxis.tick_right()
    axes.tick_params(length=0, pad=3)
    axes.set_title("share of the\ntrue class", loc="left", linespacing=1.1, **small)


def _add_title(axes: Any, note: str) -> None:
    at_top = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    axes.annotate("Confusion matrix", (0, 1), (0, 26 if note else 10), fontsize=15, color=INK, **at_top)
    axes.annotate(note, (0, 1), (0, 10), **at_top, **text_style(note, 9.5, color=FAINT_INK))


def _shorten(label: str) -> str:
    if cell_len(label) <= _LONGEST_LABEL:
        return label
    return set_cell_size(label, _LONGEST_LABEL - 1).rstrip() + "…"
