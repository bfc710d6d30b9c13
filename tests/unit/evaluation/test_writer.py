"""All results of an evaluation in one folder."""

from __future__ import annotations

import csv
import io
import json
import logging

import numpy as np
import pytest
from PIL import Image

from slim_train.evaluation.metrics import ClassificationMetrics
from slim_train.evaluation.writer import EvaluationWriter

LABELS = ["cat", "dog"]


def encoded(grey):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), grey).save(buffer, "PNG")
    return buffer.getvalue()


def batch(first, true):
    names = [f"{first + place}-ü.png".encode() for place in range(len(true))]
    return {"filename": np.array(names, object), "label": np.array(true), "encoded": [encoded(90)] * len(true)}


def evaluate(folder, num_mistakes):
    metrics = ClassificationMetrics(2)
    with EvaluationWriter(folder, "test", LABELS, num_mistakes) as writer:
        for first, true in ((0, [0, 1]), (2, [1])):
            logits = np.tile([2.0, 0.0], (len(true), 1))  # Everything is a cat.
            metrics.update(true, logits)
            writer.visit(batch(first, true), logits)
        writer.finish(metrics, "run/model.ckpt-7", 7, seconds=1.5)


def test_all_results_of_a_split_are_written(tmp_path, caplog):
    pytest.importorskip("matplotlib")
    with caplog.at_level(logging.INFO):
        evaluate(tmp_path, num_mistakes=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "confusion_matrix_test.png", "eval_test.json", "mistakes_test.png", "predictions_test.csv",
    ]  # fmt: skip
    values = json.loads((tmp_path / "eval_test.json").read_text())
    assert (values["images"], values["global_step"], values["confusion_matrix"]) == (3, 7, [[1, 0], [2, 0]])
    with (tmp_path / "predictions_test.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["correct"]) for row in rows] == [
        ("0-ü.png", "true"), ("1-ü.png", "false"), ("2-ü.png", "false"),
    ]  # fmt: skip
    assert "accuracy 33.33%" in caplog.text


def test_no_sheet_is_drawn_when_no_mistakes_are_wanted(tmp_path):
    evaluate(tmp_path, num_mistakes=0)
    assert not (tmp_path / "mistakes_test.png").exists()


def test_a_batch_that_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError), EvaluationWriter(tmp_path, "test", LABELS, 4) as writer:
        writer.visit(batch(0, [0]), [[1.0, 0.0]])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
