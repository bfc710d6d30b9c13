"""Metrics as a table: for the terminal with rich, for logs and files as plain text."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from slim_train.evaluation.metrics import ClassificationReport

_MOST_CLASSES = 30
_BEST_AND_WORST = 10


def metrics_table(report: ClassificationReport, labels: Sequence[str]) -> Group:
    """Return what ``rich`` prints: a line for each class, the averages and a summary.

    Of more than 30 classes the 10 with the highest F1 and the 10 with the lowest are shown, among those that occur.
    """
    parts, heading = [list(range(len(labels)))], "class"
    if len(labels) > _MOST_CLASSES:
        parts = list(report.best_and_worst(_BEST_AND_WORST))
        heading = f"class (highest and lowest F1 of {len(labels):,})"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(heading, overflow="fold")
    for column in ("precision", "recall", "F1", "images"):
        table.add_column(column, justify="right")
    for part in parts:
        for index in part:
            figures = (report.precision[index], report.recall[index], report.f1[index])
            table.add_row(Text(labels[index]), *(f"{value:.3f}" for value in figures), f"{report.support[index]:,}")
        table.add_section()
    for name, average in (("macro average", report.macro), ("weighted average", report.weighted)):
        table.add_row(name, *(f"{value:.3f}" for value in average), f"{report.images:,}")
    return Group(table, Text(summary(report), style="bold"))


def format_metrics(report: ClassificationReport, labels: Sequence[str]) -> str:
    """Return the same as plain text."""
    # A notebook would show it otherwise.
    console = Console(file=io.StringIO(), width=100, color_system=None, legacy_windows=False, force_jupyter=False)
    with console.capture() as captured:
        console.print(metrics_table(report, labels))
    return "\n".join(line.rstrip() for line in captured.get().strip("\n").split("\n"))


def summary(report: ClassificationReport) -> str:
    """Return one line: images, accuracy, top-5 if there are more than 5 classes, balanced accuracy, loss."""
    top_5 = f" · top-5 {report.top_5_accuracy:.2%}" if len(report.support) > 5 else ""
    return (
        f"{report.images:,} images · accuracy {report.accuracy:.2%}{top_5} · "
        f"balanced accuracy {report.balanced_accuracy:.2%} · loss {report.loss:.4f}"
    )


def trust(report: ClassificationReport) -> str:
    """Return a line that says how far accuracy and probabilities can be trusted."""
    low, high = report.accuracy_interval
    text = f"95% interval of the accuracy: {low:.2%} to {high:.2%}."
    if report.calibration is None:
        return text
    text += f" Expected calibration error: {report.calibration.error:.4f}"
    temperature = report.calibration.temperature
    if temperature is None:
        return f"{text}."
    return f"{text}, {temperature.calibration_error_after:.4f} at temperature {temperature.value:.3f}."
