"""The report of an evaluation."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from slim_train.evaluation.metrics import ClassificationMetrics
from slim_train.evaluation.report import EvaluationReport


def _report(**changes: Any) -> EvaluationReport:
    """Four images of two classes, three of them right."""
    metrics = ClassificationMetrics(2)
    metrics.update([0, 0, 1, 1], np.eye(2)[[0, 1, 1, 1]])
    evaluated = {"split": "test", "labels": ("cat", "<dog>"), "checkpoint": "a/model.ckpt-7", "step": 7, "seconds": 0.5}
    return EvaluationReport.of(metrics.report(), **{**evaluated, **changes})


def test_a_report_can_be_written_as_json_and_has_a_row_for_each_class() -> None:
    values = json.loads(json.dumps(_report().to_dict()))
    assert (values["accuracy"], values["global_step"], values["images_per_second"]) == (0.75, 7, 8.0)
    assert values["confusion_matrix"] == [[1, 1], [0, 2]]
    assert [(row["label"], row["recall"], row["support"]) for row in values["per_class"]] == [
        ("cat", 0.5, 2), ("<dog>", 1.0, 2)
    ]  # fmt: skip


def test_an_evaluation_too_short_to_be_timed_has_a_speed() -> None:
    assert np.isfinite(_report(seconds=0.0).images_per_second)


def test_a_notebook_shows_the_figures_and_no_class_name_is_taken_for_html() -> None:
    html = _report()._repr_html_()
    assert "accuracy 75.00% of 4 images, step 7" in html
    assert "95% interval of the accuracy: 30.06% to 95.44%" in html
    assert "&lt;dog&gt;" in html
    assert "<dog>" not in html


def test_the_file_says_how_far_the_figures_can_be_trusted() -> None:
    values = json.loads(json.dumps(_report(flip=True).to_dict()))
    assert values["accuracy_interval"] == pytest.approx([0.30064, 0.95441], abs=1e-5)
    assert values["eval_flip"] is True
    assert values["calibration"]["bins"][0]["images"] == 4
    assert values["coverage"][0] == {"threshold": 0.0, "images": 4, "coverage": 1.0, "accuracy": 0.75}
    assert [row["label"] for row in values["class_thresholds"]] == []
