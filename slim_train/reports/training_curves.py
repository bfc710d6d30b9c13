"""Training curves from metrics.jsonl: loss, accuracy and learning rate over the steps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from slim_train.reports.plotting import BLUE, FAINT_INK, INK, ORANGE, has_matplotlib, new_figure, save_figure

Curve = tuple[list[int], list[float]]


def draw_training_curves(metrics_file: Path, path: Path) -> bool:
    """Draw the curves of a training folder's metrics.jsonl as PNG; a panel without values is not drawn.

    Returns:
      Whether they were drawn: not where matplotlib is missing or there is nothing to draw yet.
    """
    # A run that ended before its first line was due has no such file.
    curves = read_curves(metrics_file) if metrics_file.is_file() else {}
    if not _panels(curves) or not has_matplotlib():
        return False
    save_figure(curves_figure(curves), path, dots_per_inch=140)
    return True


def curves_figure(curves: Mapping[str, Curve]) -> Any:
    """Return the matplotlib Figure of curves as :func:`read_curves` gives them, one panel above the other."""
    panels = _panels(curves)
    figure = new_figure(9, 2.7 * len(panels))
    all_axes = figure.subplots(len(panels), sharex=True, squeeze=False, gridspec_kw={"hspace": 0.32})[:, 0]
    for axes, (title, lines) in zip(all_axes, panels, strict=True):
        axes.set_title(title, loc="left", fontsize=11, color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT_INK)
        axes.tick_params(labelsize=8.5, color=FAINT_INK, labelcolor=FAINT_INK)
        axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
        for name, label in lines:
            _draw_curve(axes, curves[name], name, label)
        if any(label for _, label in lines):
            axes.legend(frameon=False, fontsize=8.5, labelcolor=INK)
    all_axes[-1].set_xlabel("step", fontsize=9, color=FAINT_INK)
    all_axes[-1].xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    all_axes[-1].xaxis.set_major_formatter("{x:,.0f}")
    return figure


def _panels(curves: Mapping[str, Curve]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(title, [(metric, label), ...]) of what there are values of."""
    panels = [
        ("loss", [("loss", "training"), ("eval_loss", "evaluation")]),
        ("accuracy", [("eval_accuracy", "evaluation"), ("eval_top_5_accuracy", "evaluation, top 5")]),
        ("learning rate", [("learning_rate", "")]),
    ]
    panels = [(title, [line for line in lines if line[0] in curves]) for title, lines in panels]
    return [(title, lines) for title, lines in panels if lines]


def read_curves(metrics_file: Path) -> dict[str, Curve]:
    """Steps and values of each metric, by name. Where training was resumed, the later value of a step counts."""
    return curves_of(_lines(metrics_file))


def curves_of(lines: Iterable[Mapping[str, Any]]) -> dict[str, Curve]:
    """Return steps and values of each metric, by name, from lines that hold ``step`` and metrics."""
    values: dict[str, dict[int, float]] = {}
    for line in lines:
        for name, value in line.items():
            if name != "step":
                values.setdefault(name, {})[int(line["step"])] = float(value)
    return {name: (sorted(of), [of[step] for step in sorted(of)]) for name, of in values.items()}


def _lines(metrics_file: Path) -> Iterator[dict[str, Any]]:
    with metrics_file.open(encoding="utf-8") as file:
        for line in file:
            try:
                values = json.loads(line)
            except json.JSONDecodeError:  # The line that a killed run was writing.
                continue
            if isinstance(values, dict) and "step" in values:
                yield values


def _draw_curve(axes: Any, curve: Curve, name: str, label: str) -> None:
    steps, values = curve
    if name.startswith("eval_"):
        style, face = ("--s", "none") if "top_5" in name else ("-o", ORANGE)
        axes.plot(steps, values, style, color=ORANGE, linewidth=1.6, markersize=5, markerfacecolor=face, label=label)
        return
    if len(steps) == 1:
        axes.plot(steps, values, "o", color=BLUE, markersize=3.5, label=label)
        return
    window = max(1, len(values) // 40) if name == "loss" else 1
    if window > 1:  # The loss of single batches is noise around what one wants to see.
        axes.plot(steps, values, color=BLUE, linewidth=0.8, alpha=0.25)
        steps, values = steps[window - 1 :], list(np.convolve(values, np.full(window, 1 / window), "valid"))
    axes.plot(steps, values, color=BLUE, linewidth=1.6, label=label)
