from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.evaluation.compare import Comparison, compare, describe
from slim_train.evaluation.evaluated_runs import find_runs
from slim_train.evaluation.metrics import Predictions
from slim_train.evaluation.predictions_csv import PredictionsCsv


def evaluated(path: Path, files: Sequence[str], true: Sequence[int], predicted: Sequence[int]) -> str:
    predictions = Predictions(np.array(predicted), np.full(len(files), 0.9))
    with PredictionsCsv(path, ["cat", "dog"]) as out:
        out.write(files, true, predictions)
    return str(path)


def compared(*paths: str, most_examples: int = 5) -> Comparison:
    return compare(find_runs(paths), most_examples)


FILES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_images_are_matched_by_name_in_whatever_order_they_are(tmp_path: Path) -> None:
    first = evaluated(tmp_path / "first.csv", FILES, [0, 0, 1, 1], [0, 1, 1, 0])
    second = evaluated(tmp_path / "second.csv", FILES[::-1], [1, 1, 0, 0], [1, 0, 1, 0])
    report = compared(first, second)
    assert [entry.accuracy for entry in report.runs] == [0.5, 0.5]
    assert (report.all_right, report.none_right) == (1, 1)
    assert report.only_right[0].examples == (("c.jpg", "dog", {"first.csv": "dog", "second.csv": "cat"}),)
    assert report.only_right[1].examples == (("d.jpg", "dog", {"first.csv": "cat", "second.csv": "dog"}),)
    (test,) = report.tests
    assert (test.only_first, test.only_second, test.p_value) == (1, 1, 1)
    assert "may differ by chance" in describe(test)


def test_accuracy_and_balanced_accuracy_are_those_of_the_predictions(tmp_path: Path) -> None:
    path = evaluated(tmp_path / "a.csv", FILES, [0, 0, 0, 1], [0, 0, 1, 1])
    figures = compared(path, path).runs[0]
    assert (figures.correct, figures.images, figures.accuracy) == (3, 4, 0.75)
    assert figures.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)


def test_images_of_the_same_name_and_class_are_counted_each(tmp_path: Path) -> None:
    first = evaluated(tmp_path / "a.csv", ["x", "x", "y"], [0, 0, 0], [0, 1, 0])
    second = evaluated(tmp_path / "b.csv", ["x", "x", "y"], [0, 0, 0], [1, 1, 0])
    assert [entry.count for entry in compared(first, second).only_right] == [1, 0]
    third = evaluated(tmp_path / "c.csv", ["x", "y", "y"], [0, 0, 0], [1, 1, 0])
    with pytest.raises(UsageError, match="of 3 and 3 images, 1 are only in the first and 1 only in the second"):
        compared(first, third)


def test_other_classes_of_the_same_images_are_refused(tmp_path: Path) -> None:
    first = evaluated(tmp_path / "a.csv", FILES, [0, 0, 1, 1], [0, 0, 0, 0])
    second = evaluated(tmp_path / "b.csv", FILES, [0, 1, 0, 1], [0, 0, 0, 0])
    with pytest.raises(UsageError, match=r"a\.csv and b\.csv cannot be compared: 2 images have another true class"):
        compared(first, second)


def test_three_runs_are_each_tested_against_the_first(tmp_path: Path) -> None:
    paths = [evaluated(tmp_path / f"{number}.csv", FILES, [0] * 4, [0, 1, 1, number % 2]) for number in range(3)]
    report = compared(*paths, most_examples=0)
    assert [(test.first, test.second) for test in report.tests] == [("0.csv", "1.csv"), ("0.csv", "2.csv")]
    assert report.sentences()[-1] == "The p values are not corrected for 2 comparisons."


def test_names_are_escaped_in_html(tmp_path: Path) -> None:
    first = evaluated(tmp_path / "a.csv", ["<b>.jpg"], [0], [0])
    second = evaluated(tmp_path / "b.csv", ["<b>.jpg"], [0], [1])
    page = compared(first, second).to_html()
    assert "&lt;b&gt;.jpg" in page
    assert "<b>" not in page
