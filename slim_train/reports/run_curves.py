"""Curves of several runs in one plot, as HTML. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slim_train.reports import html
from slim_train.reports.plotting import FAINT_INK, INK, has_matplotlib, new_figure, text_style
from slim_train.reports.training_curves import Curve, curves_of

# Okabe and Ito's, which the color-blind tell apart; beyond them the style of the line does.
_COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000")
_STYLES = ("-", "--", ":", "-.")
_PANELS = {"eval_accuracy": "accuracy in evaluation", "eval_loss": "loss in evaluation", "loss": "loss in training"}


def run_curves(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the curves of the lines of metrics.jsonl of each run; nothing without matplotlib or without lines."""
    curves = {name: curves_of(history) for name, history in histories.items()}
    metrics = [metric for metric in _PANELS if any(metric in of_run for of_run in curves.values())]
    if not metrics or not has_matplotlib():
        return ""
    return html.figure(_figure(curves, metrics), f"curves of {', '.join(histories)}")


def _figure(curves: Mapping[str, Mapping[str, Curve]], metrics: Sequence[str]) -> Any:
    figure = new_figure(9, 2.8 * len(metrics))
    panels = figure.subplots(len(metrics), sharex=True, squeeze=False, gridspec_kw={"hspace": 0.32})[:, 0]
    for axes, metric in zip(panels, metrics, strict=True):
        axes.set_title(_PANELS[metric], loc="left", fontsize=11, color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8.5, color=FAINT_INK, labelcolor=FAINT_INK)
        axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
        for index, (name, of_run) in enumerate(curves.items()):
            if metric in of_run:
                style = _STYLES[index // len(_COLORS) % len(_STYLES)]
                marker = "o" if metric != "loss" or len(of_run[metric][0]) == 1 else ""
                color = _COLORS[index % len(_COLORS)]
                axes.plot(*of_run[metric], style, marker=marker, markersize=4, linewidth=1.5, color=color, label=name)
        for text in axes.legend(frameon=False, fontsize=8.5, labelcolor=INK).get_texts():
            text.set(**text_style(text.get_text(), 8.5))
    panels[-1].set_xlabel("step", fontsize=9, color=FAINT_INK)
    panels[-1].xaxis.set_major_formatter("{x:,.0f}")
    return figure
