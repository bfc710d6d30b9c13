"""The split that a command names."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.foreign import RecordsAsTold
from slim_train import progress
from slim_train.inputs.data_set import open_split


def test_class_folders_are_converted_and_progress_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(progress, "_LINE_EVERY_SECS", 0)
    caplog.set_level(logging.INFO)
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(4):
            pixels = np.full((8, 8), 20 * index, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{index}.png")
    dataset = open_split(None, "train", tmp_path / "images", "dataset_split_name", RecordsAsTold())
    assert (dataset.labels, dataset.num_samples) == (("cat", "dog"), 6)
    told = RecordsAsTold(file_pattern="flowers.%s", text_key="name")  # of a training on other records
    assert open_split(None, "train", tmp_path / "images", "dataset_split_name", told) == dataset
    assert any(" of 8 images" in record.getMessage() for record in caplog.records)
