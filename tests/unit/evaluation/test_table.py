"""Metrics as a table."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from slim_train.evaluation.metrics import ClassificationMetrics
from slim_train.evaluation.table import format_metrics, metrics_table


def report_of(labels, predicted, num_classes):
    metrics = ClassificationMetrics(num_classes)
    metrics.update(labels, np.eye(num_classes)[predicted])
    return metrics.report()


def test_every_class_has_a_line_with_its_figures():
    text = format_metrics(report_of([0, 0, 1], [0, 1, 1], 2), ["cat", "猫 [bold]x"])
    lines = [line.split() for line in text.splitlines()]
    assert ["cat", "1.000", "0.500", "0.667", "2"] in lines
    assert ["猫", "[bold]x", "0.500", "1.000", "0.667", "1"] in lines
    assert ["macro", "average", "0.750", "0.750", "0.667", "3"] in lines
    assert "3 images · accuracy 66.67% · balanced accuracy 75.00% · loss" in text


def test_top_5_is_shown_where_it_says_something():
    assert "top-5" not in format_metrics(report_of([0], [0], 5), list("abcde"))
    assert "top-5 100.00%" in format_metrics(report_of([0], [0], 6), list("abcdef"))


def test_of_many_classes_the_best_and_the_weakest_are_shown():
    predicted = np.arange(1000)
    predicted[500] = 501
    text = format_metrics(report_of(np.arange(1000), predicted, 1000), [f"class{index}" for index in range(1000)])
    assert "highest and lowest F1 of 1,000" in text
    assert len(text.splitlines()) < 35
    assert text.index("class999 ") < text.index("class500 ") < text.index("class501 ") < text.index("macro average")


def test_classes_that_do_not_occur_are_not_among_the_weakest():
    text = format_metrics(report_of([0, 1], [0, 1], 100), [f"class{index}" for index in range(100)])
    assert "class99" not in text


def test_rich_prints_the_same():
    report = report_of([0, 0, 1], [0, 1, 1], 2)
    console = Console(file=io.StringIO(), width=100)
    console.print(metrics_table(report, ["cat", "dog"]))
    assert "cat" in console.file.getvalue()
