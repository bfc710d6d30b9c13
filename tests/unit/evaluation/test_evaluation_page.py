"""An evaluation in HTML."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from slim_train.evaluation.accuracy_by import Group
from slim_train.evaluation.evaluation_page import evaluation_html
from slim_train.evaluation.metrics import ClassificationMetrics
from slim_train.evaluation.mistakes import Mistake
from slim_train.evaluation.report import EvaluationReport


def report_of(num_classes, true, predicted, labels=None):
    metrics = ClassificationMetrics(num_classes)
    metrics.update(true, 3.0 * np.eye(num_classes)[predicted])
    labels = labels or tuple(f"class {index}" for index in range(num_classes))
    return EvaluationReport.of(
        metrics.report(), split="test", labels=labels, checkpoint="run/model.ckpt-7", step=7, seconds=0.5
    )


def picture():
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 90).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_class_with_the_most_wrong_images_comes_first():
    html = evaluation_html(report_of(3, [0, 1, 1, 2, 2, 2], [0, 1, 1, 0, 0, 1]))
    table = html[html.index("Classes, by number of wrong images") : html.index("Most confused classes")]
    assert table.index("class 2") < table.index("class 0")
    assert table.index("class 2") < table.index("class 1")


def test_accuracy_has_its_interval_and_probabilities_their_error_and_temperature():
    html = evaluation_html(report_of(2, [0, 1, 1, 0], [0, 1, 1, 1]))
    assert "75.00%, 95% interval 30.06% to 95.44%" in html
    assert "Expected calibration error" in html
    assert "Temperature" in html
    assert 'aria-label="Reliability diagram"' in html


def test_confused_classes_show_their_images_and_no_name_is_taken_for_html():
    mistakes = [Mistake(picture(), "a/<7>.png", 0, 1, 0.9)]
    html = evaluation_html(report_of(2, [0, 1], [1, 1], ("<cat>", "dog")), mistakes)
    assert "&lt;cat&gt; → dog: 1 of the worst mistakes" in html
    assert "Worst mistakes: 1 of 1" in html
    assert "data:image/jpeg;base64," in html
    assert "<cat>" not in html
    assert "<7>" not in html


@pytest.mark.parametrize("num_classes", [1, 7])
def test_three_images_without_a_mistake_are_enough(num_classes):
    classes = np.arange(3) % num_classes
    html = evaluation_html(report_of(num_classes, classes, classes))
    assert "No mistakes" in html
    assert "Most confused" not in html


def test_very_many_classes_are_folded_and_counted():
    classes = np.arange(1500)
    html = evaluation_html(report_of(1500, classes, np.roll(classes, 1)))
    assert "1,440 more classes" in html
    assert "and 500 more: see eval_test.json" in html
    assert len(html) < 1_500_000


def test_heat_lies_below_its_image_and_is_explained():
    mistakes = [Mistake(picture(), "7.png", 0, 1, 0.9, picture())]
    html = evaluation_html(report_of(2, [0, 1], [1, 1]), mistakes)
    assert "Grad-CAM" in html
    assert 'alt="where the net looks: class 0 → class 1 7.png"' in html
    assert "Grad-CAM" not in evaluation_html(report_of(2, [0, 1], [1, 1]), [Mistake(picture(), "7.png", 0, 1, 0.9)])


def test_of_very_many_mistakes_the_page_shows_some():
    mistakes = [Mistake(picture(), "7.png", 0, 1, 0.9)] * 1000
    html = evaluation_html(report_of(2, [0] * 1000, [1] * 1000), mistakes)
    assert "Worst mistakes: 200 of 1,000" in html
    assert html.count("<figure") == 206  # with those of the confused classes


def test_a_matrix_of_few_classes_is_drawn_if_no_file_holds_one():
    pytest.importorskip("matplotlib")
    assert 'alt="confusion matrix"' in evaluation_html(report_of(2, [0, 1], [1, 1]))


def test_accuracy_is_shown_by_each_column_that_tells_images_apart():
    report = dataclasses.replace(
        report_of(2, [0, 1], [1, 1]),
        accuracy_by={"short_side": (Group("48", 2, 1),), "camera": (Group("<Leica>", 1, 1), Group("other", 1, 0))},
    )
    html = evaluation_html(report)
    assert "All images have the same short side in pixels: 48." in html
    assert "Accuracy by camera" in html
    assert "&lt;Leica&gt;" in html
    assert report.to_dict()["accuracy_by"][1]["column"] == "camera"
