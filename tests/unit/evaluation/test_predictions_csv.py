"""One line for each image."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from slim_train.evaluation.metrics import Predictions
from slim_train.evaluation.predictions_csv import PredictionsCsv


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path, files, labels=("cat", "dog"), true=0, predicted=1, probability=0.9):
    predictions = Predictions(np.full(len(files), predicted), np.full(len(files), probability))
    with PredictionsCsv(path, labels) as out:
        out.write(files, np.full(len(files), true), predictions)
    return rows_of(path)


def test_batches_follow_each_other_one_line_for_each_image(tmp_path):
    path = tmp_path / "predictions.csv"
    with PredictionsCsv(path, ["cat", "dog"]) as out:
        out.write(["a.jpg", "b.jpg"], [0, 1], Predictions(np.array([0, 0]), np.array([0.75, 0.5])))
        out.write(["c.jpg"], [1], Predictions(np.array([1]), np.array([1.0])))
    assert path.read_text().splitlines() == [
        "file,label,prediction,probability,correct",
        "a.jpg,cat,cat,0.750000,true",
        "b.jpg,dog,cat,0.500000,false",
        "c.jpg,dog,dog,1.000000,true",
    ]


@pytest.mark.parametrize("name", ["猫 和 狗.jpg", "قطة.jpg", 'quote " and, comma.jpg', "two\nlines.jpg", "'tis.jpg"])
def test_names_in_any_script_and_with_any_sign_come_back_as_they_were(tmp_path, name):
    (row,) = write(tmp_path / "predictions.csv", [name], labels=(name, "dog"))
    assert (row["file"], row["label"]) == (name, name)


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "-", "-dash.jpg"])
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(tmp_path, name):
    (row,) = write(tmp_path / "predictions.csv", [name], labels=("cat", name))
    assert (row["file"], row["prediction"]) == (f"'{name}", f"'{name}")


@pytest.mark.parametrize("name", ["-1", "+1.5", "7", "a=b", "x-y"])
def test_numbers_and_signs_inside_a_name_stay_as_they_are(tmp_path, name):
    (row,) = write(tmp_path / "predictions.csv", ["a.jpg"], labels=(name, "dog"))
    assert row["label"] == name


def test_a_file_name_that_is_not_unicode_is_written_as_an_escape(tmp_path):
    (row,) = write(tmp_path / "predictions.csv", [b"\xff.jpg".decode("utf-8", "surrogateescape")])
    assert row["file"] == r"\udcff.jpg"


def test_an_error_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), PredictionsCsv(tmp_path / "predictions.csv", ["cat"]):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_files_and_labels_of_different_lengths_are_refused(tmp_path):
    with pytest.raises(ValueError), PredictionsCsv(tmp_path / "predictions.csv", ["cat"]) as out:
        out.write(["a.jpg", "b.jpg"], [0], Predictions(np.array([0]), np.array([1.0])))
