"""The split that a command names."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.foreign import RecordsAsTold
from datasets.spec import DatasetSpec
from slim_train import progress
from slim_train.errors import UsageError
from slim_train.inputs.data_set import check_server, open_split


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


def test_a_server_that_was_started_by_hand_reads_no_copies() -> None:
    files = ("s3://bucket/x_train.tfrecord",)
    dataset = DatasetSpec("x", "train", "s3://bucket", files, 2, 6, ("a", "b"))
    check_server("", dataset)
    with pytest.raises(UsageError, match="--master=grpc://a:1 and s3://bucket/x_train.tfrecord cannot be combined"):
        check_server("grpc://a:1", dataset)
    check_server("grpc://a:1", dataclasses.replace(dataset, files=("gs://bucket/x_train.tfrecord",)))
