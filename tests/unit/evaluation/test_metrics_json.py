"""Metrics as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slim_train.evaluation.metrics import ClassificationMetrics
from slim_train.evaluation.metrics_json import write_metrics_json
from slim_train.evaluation.report import EvaluationReport


def written(path, labels, true, predicted):
    metrics = ClassificationMetrics(len(labels))
    metrics.update(true, np.eye(len(labels))[predicted])
    report = EvaluationReport.of(
        metrics.report(), split="test", labels=tuple(labels), checkpoint="run/model.ckpt-7", step=7, seconds=0.5
    )
    write_metrics_json(path, report)
    return json.loads(path.read_text(encoding="utf-8"))


def test_everything_about_an_evaluation_is_in_the_file(tmp_path):
    values = written(tmp_path / "eval.json", ["cat", "猫"], [0, 0, 1, 1], [0, 1, 1, 1])
    assert values["images"] == 4
    assert values["images_per_second"] == 8
    assert (values["checkpoint"], values["global_step"], values["split"]) == ("run/model.ckpt-7", 7, "test")
    assert values["accuracy"] == 0.75
    assert values["top_5_accuracy"] == 1
    assert values["labels"] == ["cat", "猫"]
    assert values["confusion_matrix"] == [[1, 1], [0, 2]]
    assert values["per_class"][0] == {
        "class": 0, "label": "cat", "precision": 1, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2,
    }  # fmt: skip
    assert values["macro_average"].keys() == values["weighted_average"].keys() == {"precision", "recall", "f1"}


def test_each_row_of_the_confusion_matrix_is_one_line(tmp_path):
    path = tmp_path / "eval.json"
    labels = [f"class {index}" for index in range(50)]
    written(path, labels, range(50), range(50))
    assert len(path.read_text().splitlines()) < 200
