"""report.html of a training folder."""

from __future__ import annotations

import dataclasses
import logging
import re
from html.parser import HTMLParser

import numpy as np

from slim_train import config
from slim_train.checkpoints import training_folder
from slim_train.evaluation.metrics import ClassificationMetrics
from slim_train.evaluation.report import EvaluationReport
from slim_train.evaluation.run_page import machine, run_html, write_run_report
from slim_train.training_options import TrainOptions


def trained(folder):
    folder.mkdir()
    options = TrainOptions()
    options = dataclasses.replace(options, optimizer=dataclasses.replace(options.optimizer, learning_rate=0.125))
    config.write_yaml(folder / training_folder.CONFIG, options)
    result = {"global_step": 20, "last_step": 30, "seconds": 4.5, "images_per_second": 80, "resumed_step": 10}
    training_folder.write_json(folder / training_folder.RESULT, result)
    for step in (10, 20):
        training_folder.add_metrics(folder, {"step": step, "loss": 1 / step})
    return folder


def evaluation():
    metrics = ClassificationMetrics(2)
    metrics.update([0, 1, 1], np.eye(2)[[0, 1, 0]])
    evaluated = {"split": "test", "labels": ("cat", "dog"), "checkpoint": "r/model.ckpt-20", "step": 20, "seconds": 1.0}
    return EvaluationReport.of(metrics.report(), **evaluated)


class _Document(HTMLParser):
    """Checks that tags are closed in order, and collects what would be loaded."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.loaded += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_says_how_the_run_went_and_what_came_of_it(tmp_path):
    html = run_html(trained(tmp_path / "run"), evaluation())
    text = re.sub("<[^>]+>", " ", html)
    for words in ("20 of 30", "at step 10", "80 images/s", "accuracy 66.67% on test", "learning_rate 0.125"):
        assert words in re.sub(r"\s+", " ", text), words


def test_the_page_is_one_document_that_loads_nothing(tmp_path):
    path = write_run_report(trained(tmp_path / "run"), evaluation())
    document = _Document(path.read_text(encoding="utf-8"))
    assert document.open == []
    assert all(address.startswith("data:") for address in document.loaded)


def test_a_folder_without_an_evaluation_or_a_result_has_a_page_too(tmp_path):
    folder = trained(tmp_path / "run")
    (folder / training_folder.RESULT).write_text("{damaged")
    assert "eval_image_classifier adds one" in write_run_report(folder).read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_said_and_nothing_else_is_lost(tmp_path, caplog):
    folder = trained(tmp_path / "run")
    (folder / "report.html").mkdir()
    with caplog.at_level(logging.WARNING):
        assert write_run_report(folder, evaluation()) is None
    assert "Cannot write" in caplog.text


def test_versions_are_those_that_are_installed():
    assert f"numpy {np.__version__}" in machine()["versions"]


def test_a_damaged_line_of_metrics_costs_the_page_and_nothing_else(tmp_path, caplog):
    folder = trained(tmp_path / "run")
    training_folder.add_metrics(folder, {"step": 30, "loss": "high"})
    assert write_run_report(folder, evaluation) is None
    assert "Cannot draw" in caplog.text
