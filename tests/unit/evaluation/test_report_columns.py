"""The columns that accuracy is reported by."""

from __future__ import annotations

import logging
import os

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.evaluation import report_columns
from slim_train.evaluation.accuracy_by import Group
from slim_train.evaluation.metrics import Predictions
from slim_train.evaluation.predictions_csv import PredictionsCsv
from slim_train.evaluation.report_columns import ColumnTable, ReportColumns, open_columns

TABLE = "\ufefffile,label,camera,year\na/1.png,cat,Leica,2019\n'=2.png,dog,,2020\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "columns.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_images_are_found_by_the_name_that_predictions_give_them(table):
    columns = ColumnTable(table)
    assert columns.names == ("camera", "year")
    assert columns.values("a/1.png") == ("Leica", "2019")
    assert columns.values("=2.png") == ("", "2020")
    assert columns.values("1.png") is None


def test_sizes_and_columns_are_counted_in_the_order_asked_for(table, photo, caplog):
    names, columns = open_columns("year,width,short_side", str(table))
    counted = ReportColumns(names, columns)
    batch = {"encoded": [photo(size=(90, 70)), photo("PNG", size=(30, 40)), b"raw"], "label": [0, 1, 1]}
    with caplog.at_level(logging.WARNING):
        counted.add(batch, ["a/1.png", "=2.png", "3.png"], np.array([0, 0, 1]))
        found = counted.result()
    assert list(found) == ["year", "width", "short_side"]
    assert found["year"] == (Group("2019", 1, 1), Group("2020", 1, 0), Group("no value", 1, 1))
    assert found["width"] == (Group("30", 1, 0), Group("90", 1, 1), Group("no value", 1, 1))
    assert [group.value for group in found["short_side"]] == ["30", "70", "no value"]
    assert "lacks 1 of 3 images, such as 3.png; its files are named such as a/1.png" in caplog.text


def test_by_default_all_columns_of_the_table_and_the_short_side_are_reported(table):
    assert open_columns(None, None) == (("short_side",), None)
    assert open_columns(None, str(table))[0] == ("short_side", "camera", "year")
    assert open_columns("", None) == ((), None)


def test_memory_of_a_table_is_bounded_numbers_are_rounded_and_names_are_given_up(tmp_path, photo, caplog, monkeypatch):
    monkeypatch.setattr(report_columns, "MOST_VALUES", 1000)
    path = tmp_path / "columns.csv"
    rows = (f"{number}.png,image {number},{1000 + number / 7},{number % 3}\n" for number in range(9000))
    path.write_text("file,id,weight,grade\n" + "".join(rows))
    names, table = open_columns("id,weight,grade", str(path))
    assert table.values("8999.png") == ("", "2290.0", "2")
    assert table.values("7.png") == ("", "1001.0", "1")
    counted = ReportColumns(names, table)
    counted.add({"encoded": [photo()] * 2, "label": [0, 1]}, ["7.png", "8999.png"], np.array([0, 0]))
    assert list(counted.result()) == ["weight", "grade"]
    assert "Accuracy by id is not reported: nearly each image has its own value." in caplog.text


def test_names_that_are_not_unicode_are_found_as_predictions_write_them(tmp_path):
    file = os.fsdecode(b"caf\xe9/1.png")
    with PredictionsCsv(tmp_path / "predictions.csv", ["x"]) as predictions:
        predictions.write([file], [0], Predictions(np.array([0]), np.array([1.0])))
    head, row = (tmp_path / "predictions.csv").read_text().splitlines()
    (tmp_path / "columns.csv").write_text(f"{head},camera\n{row},Leica\n")
    assert ColumnTable(tmp_path / "columns.csv").values(file) == ("Leica",)


def test_columns_of_no_image_are_not_reported_and_nothing_is_said(table, caplog):
    assert ReportColumns(*open_columns(None, str(table))).result() == {}
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name,x\na,1\n", "has no column file; its columns: name, x"),
        ("file,x\na,1\nb\n", "line 3 has 1 values, and the first line has 2"),
        ("file,x\na,1\nb,2\na,3\n", "row 3 names the image of row 1 again"),
        ("file,x,x\na,1,2\n", "two columns of one name"),
        ("file,label\na,1\n", "must have 1 to 100 columns beside file, label"),
        ("file,x\n\ud800,1\n", "is not a CSV file in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "columns.csv"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(UsageError, match=reason) as raised:
        ColumnTable(path)
    assert str(raised.value).startswith(f"--report_columns={path}")


def test_an_unknown_column_is_refused_with_those_that_are_known(table):
    with pytest.raises(UsageError, match=r"no column size\. Choose from short_side, .* --report_columns=FILE"):
        open_columns("size", None)
    with pytest.raises(UsageError, match="kilobytes, camera, year"):
        open_columns("size", str(table))
