"""``st.inspect_dataset`` and its report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from PIL import Image

import slim_train as st


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images of each of two classes."""
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (12, 8), (30 * number, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def test_the_report_says_what_the_data_set_is(photos: Path) -> None:
    report = st.inspect_dataset(photos)
    assert (report.kind, report.labels, report.num_images) == ("class_folders", ("cat", "dog"), 6)
    assert report.counts == {"all": {"cat": 3, "dog": 3}}
    assert report.images
    assert report.images.median() == (8, 12)
    assert report.files == {}
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.name = "x"  # type: ignore[misc]


def test_records_are_inspected_after_the_conversion(photos: Path) -> None:
    st.convert(photos, photos.parent / "data", num_workers=1)
    report = st.inspect_dataset(photos.parent / "data", decode=True, output_dir=photos.parent / "report")
    assert (report.faults, report.decoded) == ((), True)
    assert set(report.files) == {"page", "report", "first_images"}
    assert json.loads(report.files["report"].read_text()) == json.loads(json.dumps(report.to_dict()))


def test_a_notebook_shows_bars_and_images(photos: Path) -> None:
    shown = st.inspect_dataset(photos)._repr_html_()
    assert "cat" in shown
    assert "background:" in shown
    assert "data:image/jpeg;base64," in shown


def test_a_wrong_argument_is_a_usage_error(photos: Path) -> None:
    with pytest.raises(st.UsageError, match="dataset_dir is missing"):
        st.inspect_dataset()
    with pytest.raises(st.UsageError, match="does not exist"):
        st.inspect_dataset(photos / "gone")
    with pytest.raises(st.UsageError, match="unknown keyword argument 'decod'. Did you mean decode"):
        st.inspect_dataset(photos, decod=True)  # type: ignore[call-arg]


def test_what_is_known_is_written_before_a_part_that_fails_ends_the_inspection(
    photos: Path, mobilenet_folder: Path, tmp_path: Path
) -> None:
    for file in photos.rglob("*.png"):
        file.write_bytes(file.read_bytes()[:60])  # the header is good
    checkpoint = str(mobilenet_folder / "model.ckpt-7")
    flags = {"model_name": "mobilenet_v1_025", "checkpoint_path": checkpoint, "output_dir": tmp_path / "report"}
    with pytest.raises(st.UsageError, match="No image of .* has a label and can be decoded"):
        st.inspect_dataset(photos, duplicates="bytes", write_exclusions=str(tmp_path / "left_out.csv"), **flags)
    assert "Images per class" in (tmp_path / "report" / "inspection.html").read_text(encoding="utf-8")
    assert (tmp_path / "left_out.csv").is_file()
