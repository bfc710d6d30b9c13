"""What smaller images would save."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets import shrinking_savings
from datasets.convert import convert_dataset
from datasets.shrinking import Shrinking
from datasets.shrinking_savings import measure_savings


@pytest.fixture
def photographs(tmp_path: Path, photo: Callable[..., bytes]) -> Path:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "photos" / name / f"{number}.jpg").write_bytes(photo(size=(1600, 1200), quality=95))
    return tmp_path / "photos"


def test_of_large_photographs_bytes_and_seconds_are_saved(photographs: Path, tmp_path: Path) -> None:
    report = convert_dataset("image_folder", tmp_path / "data", photographs)
    savings = measure_savings(tmp_path / "data", report.info, processors=2)
    assert savings is not None
    assert (savings.median_side, savings.bytes_before) == (1600, report.num_bytes)
    assert 0 < savings.bytes_after < savings.bytes_before / 2
    assert "--max_image_side=512" in str(savings)


def test_what_was_made_smaller_needs_no_proposal(
    photographs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = convert_dataset("image_folder", tmp_path / "data", photographs, shrinking=Shrinking(200, 80))
    assert report.info.image_sizes == ((150, 200), (150, 200))
    assert (report.info.settings["max_image_side"], report.info.settings["jpeg_quality"]) == (200, 80)
    assert measure_savings(tmp_path / "data", report.info, processors=2) is None
    convert_dataset("image_folder", tmp_path / "data", photographs, shrinking=Shrinking(200, 80))
    assert "was converted with" not in caplog.text
    convert_dataset("image_folder", tmp_path / "data", photographs)
    assert "was converted with max_image_side=200" in caplog.text


def test_an_epoch_is_one_of_the_training_split(
    class_folders: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shrinking_savings, "NET_SIZE", 1)
    pictures = class_folders({"test/a": 1, "train/a": 20})
    report = convert_dataset("image_folder", tmp_path / "data", pictures)
    assert next(iter(report.info.splits)) == "test"
    seconds = itertools.chain.from_iterable(zip(itertools.repeat(5.0), itertools.repeat(0.0)))
    monkeypatch.setattr(shrinking_savings, "_decoding_seconds", lambda encoded: next(seconds))
    savings = measure_savings(tmp_path / "data", report.info, processors=1)
    assert savings is not None
    assert savings.seconds_per_epoch == 20
