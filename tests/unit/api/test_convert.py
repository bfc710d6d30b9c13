"""``st.convert`` and its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import slim_train as st


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six images of each of two classes, and a text file among the cats."""
    for channel, name in enumerate(("cat", "dog")):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(6):
            color = [0, 0, 0]
            color[channel] = 30 * number
            Image.new("RGB", (12, 8), tuple(color)).save(folder / f"{number}.jpg")
    (tmp_path / "photos" / "cat" / "bad.jpg").write_text("I am a text")
    return tmp_path / "photos"


def convert(photos: Path) -> st.ConversionReport:
    return st.convert(photos, photos.parent / "data", num_workers=1, test_fraction=0.5)


def test_the_report_counts_the_images_of_each_class_and_split(photos: Path) -> None:
    report = convert(photos)
    assert report.labels == ("cat", "dog")
    assert {split: list(classes) for split, classes in report.counts.items()} == {
        "train": ["cat", "dog"],
        "test": ["cat", "dog"],
    }
    assert [sum(report.counts[split][name] for split in report.counts) for name in report.labels] == [6, 6]
    assert (report.num_images, report.already_finished) == (12, False)
    assert report.num_bytes > 0


def test_the_report_lists_rejected_images_with_the_reason(photos: Path) -> None:
    report = convert(photos)
    (rejected,) = report.rejected_images
    assert (rejected.file, rejected.label, rejected.reason) == ("cat/bad.jpg", "cat", "not an image")
    assert report.num_rejected == 1


def test_the_report_names_the_files(photos: Path) -> None:
    report = convert(photos)
    assert {path.name for path in report.files} == {
        "image_folder_train.tfrecord",
        "image_folder_test.tfrecord",
        "info.json",
        "labels.txt",
        "rejected.csv",
    }
    assert all(path.is_file() for path in report.files)


def test_a_second_call_reports_the_finished_data_set(photos: Path) -> None:
    first, second = convert(photos), convert(photos)
    assert second.already_finished
    assert (second.counts, second.rejected_images, second.files) == (first.counts, first.rejected_images, first.files)


def test_the_report_is_json_and_html(photos: Path) -> None:
    report = convert(photos)
    assert json.loads(json.dumps(report.to_dict()))["counts"]["test"]["dog"] == 3
    shown = report._repr_html_()
    assert "not an image: 1" in shown
    assert ">cat</td>" in shown


def test_the_name_of_a_known_data_set_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    report = st.convert("digits", "data", num_workers=1)
    assert (report.info.name, report.num_images) == ("digits", 1797)


def test_an_existing_folder_wins_over_the_name(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos.rename(photos.parent / "digits")
    monkeypatch.chdir(photos.parent)
    assert st.convert("digits", "data", num_workers=1).info.name == "image_folder"


def test_wrong_images_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(st.UsageError, match="does not exist"):
        st.convert(tmp_path / "gone", tmp_path / "data")
