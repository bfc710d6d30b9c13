"""The result of an inspection in HTML, and the sheet of first images."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from datasets.inspection.result import (
    Duplicate,
    DuplicateCounts,
    DuplicateGroup,
    Duplicates,
    FeatureFindings,
    Finding,
    Inspection,
    KeyFacts,
    LabelError,
    Place,
    Sample,
    SplitFacts,
)
from slim_train.reports.inspection_page import draw_first_images, inspection_html, inspection_page


def _png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), shade).save(buffer, "PNG")
    return buffer.getvalue()


def _inspection(num_classes: int = 2, per_class: int = 3, **changes: object) -> Inspection:
    labels = tuple(f"<b>{'a very long name ' * 5}{number}" for number in range(num_classes))
    splits = {name: SplitFacts(num_classes, (1,) * num_classes, 1, 1000) for name in ("train", "test")}
    samples = tuple(
        Sample("train", label, "pets_train.tfrecord", number + 1, _png(label % 256))
        for label in range(min(num_classes, 100))
        for number in range(per_class - label % 2)
    )
    values = {"labels": labels, "splits": splits, "images": None, "samples": samples, **changes}
    return Inspection("data/pets", "converted", "pets", **values)  # type: ignore[arg-type]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("num_classes", [2, 7, 100, 1000])
def test_a_page_needs_no_other_file_and_closes_what_it_opens(tmp_path: Path, num_classes: int) -> None:
    inspection = _inspection(num_classes, keys={"<key>": KeyFacts("bytes", 1, 0, (1, 1), "", "<value>")})
    draw_first_images(tmp_path / "sheet.jpg", inspection)
    page = inspection_page(inspection, tmp_path / "sheet.jpg")
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<b>" not in page
    assert "<key>" not in page
    assert page.count("&lt;b&gt;") == num_classes


def _same(label: int, number: int, split: str = "train") -> Duplicate:
    return Duplicate(split, label, f"<i>{number}.jpg", None, "", ("bytes", "near")[number % 2], _png(number))


@pytest.mark.parametrize("num_classes", [2, 7, 100, 1000])
def test_duplicates_and_what_features_tell_are_shown_escaped(num_classes: int) -> None:
    groups = (
        DuplicateGroup((_same(0, 0), _same(0, 1, "test"))),
        DuplicateGroup((_same(0, 2), _same(1, 3))),
        DuplicateGroup((_same(1, 4), _same(1, 6))),
    )
    counts = DuplicateCounts(3, 6, 1, 1, 1)
    duplicates = Duplicates("near", 4, {"bytes": counts, "near": counts}, (), groups)
    error = LabelError("train", 0, 1, 0.01, 0.97, True, "<i>1.jpg", None, "", _png(3))
    samples = tuple(Sample("train", label, "<i>", None, _png(9)) for label in range(min(num_classes, 200)))
    found = FeatureFindings("<i>net", 50, 0.9, (error,), samples, samples)
    inspection = _inspection(num_classes, duplicates=duplicates, by_features=found, samples=())
    page = inspection_page(inspection, None)
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<i>" not in page
    assert "<b>" not in page
    for name in ("across splits", "across classes of a split", "within a class and split"):
        assert f"Duplicates, {name}: 1 of 1 group" in page
    assert "Labels that are probably wrong: 1 of 1" in page
    assert "97%, train" in page
    assert page.count("<figure") == 7 + 2 * len(samples)
    assert page.count("<details open") == (num_classes if num_classes <= 10 else 0)


def test_many_places_are_folded() -> None:
    places = tuple(Place("a.tfrecord", number) for number in range(1, 31))
    shown = inspection_html(_inspection(findings=(Finding("x", "30 records.", True, 30, places),)))
    assert shown.index("record 5<") < shown.index("<summary") < shown.index("record 6<")
    assert "25 more lines" in shown


def test_the_page_lists_findings_with_their_places() -> None:
    finding = Finding("broken_images", "1 image cannot be decoded.", True, 1, (Place("a.tfrecord", 7, "truncated"),))
    shown = inspection_html(_inspection(findings=(finding,)))
    assert "Fault: 1 image cannot be decoded." in shown
    assert "a.tfrecord, record 7: truncated" in shown


@pytest.mark.parametrize(
    ("num_classes", "per_class", "columns", "rows"), [(2, 5, 5, 2), (3, 2, 4, 2), (7, 1, 5, 2), (2, 8, 5, 4)]
)
def test_each_class_begins_a_stretch_of_the_sheet(
    tmp_path: Path, num_classes: int, per_class: int, columns: int, rows: int
) -> None:
    path = tmp_path / "sheet.png"
    samples = tuple(
        Sample("train", label, "a", number, _png(40 + 20 * label))
        for label in range(num_classes)
        for number in range(per_class)
    )
    assert draw_first_images(path, _inspection(num_classes, samples=samples))
    with Image.open(path) as sheet:
        assert sheet.width == 2 * 32 + columns * 220 - 20
        step = (sheet.height - 32 - 119 + 20) // rows
        length = per_class if per_class <= columns else -(-per_class // columns) * columns
        for label in range(num_classes):
            row, column = divmod(label * length, columns)
            assert sheet.convert("L").getpixel((32 + 220 * column + 100, 119 + row * step + 100)) == 40 + 20 * label


def test_without_images_no_sheet_is_drawn(tmp_path: Path) -> None:
    assert not draw_first_images(tmp_path / "sheet.jpg", _inspection(samples=()))
    assert not (tmp_path / "sheet.jpg").exists()
