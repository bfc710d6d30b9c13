from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.bulk.csv_file import write_csv
from slim_train.bulk.image_rows import ImageRow
from slim_train.bulk.parquet import write_rows

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra [parquet])")


def test_a_row_has_the_classes_of_an_image_or_why_it_was_rejected(tmp_path: Path) -> None:
    rows = [ImageRow("a.jpg", 0, "cat", "test"), ImageRow("=b.jpg"), ImageRow("c.jpg")]
    results = {
        "top_classes": pyarrow.array([["cat", "dog"], ["dog"], None]),
        "top_probabilities": pyarrow.array([[0.75, 0.25], [1.0], None]),
    }
    write_rows(tmp_path / "part-1.parquet", rows, results, [None, None, "truncated"])
    write_csv(tmp_path / "all.csv", tmp_path, top=2)
    assert (tmp_path / "all.csv").read_text().splitlines() == [
        "path,label,class,split,class_1,probability_1,class_2,probability_2,error",
        "a.jpg,0,cat,test,cat,0.750000,dog,0.250000,",
        "'=b.jpg,,,,dog,1.000000,,,",
        "c.jpg,,,,,,,,truncated",
    ]
