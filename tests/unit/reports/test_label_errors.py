"""The list and the sheet of labels that are probably wrong."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from PIL import Image

from datasets.inspection.result import FeatureFindings, LabelError
from slim_train.reports.label_errors import draw_label_errors, write_label_errors


def _found(data: bytes) -> FeatureFindings:
    errors = (
        LabelError("train", 0, 1, 0.001, 0.98, True, "cat/1.jpg", None, "cat/1.jpg", data),
        LabelError("train", 1, 0, 0.01, 0.8, True, "pets_train.tfrecord", 7, "dog/2.jpg"),
        LabelError("train", 1, 0, 0.02, 0.8, True, "pets_train.tfrecord", 8, ""),
        LabelError("train", 1, 0, 0.4, 0.45, False, "pets_train.tfrecord", 9, "dog/3.jpg"),
    )
    return FeatureFindings("net", 20, 0.85, errors, (), ())


def test_the_list_names_files_for_exclusion(tmp_path: Path) -> None:
    write_label_errors(tmp_path / "errors.csv", _found(b""), ("cat", "dog"))
    with (tmp_path / "errors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["cat/1.jpg", "dog/2.jpg", "pets_train.tfrecord"]
    assert rows[0] == {
        "file": "cat/1.jpg", "split": "train", "record": "", "label": "cat", "suggestion": "dog",
        "label_probability": "0.0010", "suggestion_probability": "0.9800",
    }  # fmt: skip


def test_the_sheet_shows_those_with_images(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "navy").save(buffer, "PNG")
    assert draw_label_errors(tmp_path / "errors.png", _found(buffer.getvalue()), ("cat", "dog"))
    with Image.open(tmp_path / "errors.png") as sheet:
        assert sheet.height > 200
    assert not draw_label_errors(tmp_path / "none.png", _found(b""), ("cat", "dog"))
    assert not (tmp_path / "none.png").exists()


def test_the_finding_counts_those_that_are_probable() -> None:
    (finding,) = _found(b"").findings(("cat", "dog"))
    assert (
        finding.message == "3 labels are probably wrong (15.0% of 20), by a classifier that gives 85.0% of the labels."
    )
    assert str(finding.places[0]) == "cat/1.jpg: cat, probably dog"
    assert not finding.is_fault
