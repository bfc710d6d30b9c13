"""Records small enough to train on in a unit test, and jobs on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets.convert import convert_dataset
from deployment.cluster import parse_tf_config
from slim_train import config
from slim_train.training.job import Job
from slim_train.training.prepare import prepare
from slim_train.training_options import TrainOptions


@pytest.fixture(scope="session")
def dataset_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of 14 training and 6 test images of 28x28 gray pixels, of the classes dark and light."""
    images, records = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("records")
    random = np.random.default_rng(0)
    for name, brightness in (("dark", 40), ("light", 200)):
        (images / name).mkdir()
        for index in range(10):
            pixels = (brightness + random.integers(-30, 30, (28, 28))).astype(np.uint8)
            Image.fromarray(pixels).save(images / name / f"{index}.png")
    convert_dataset("image_folder", records, images)
    return records


@pytest.fixture
def options(dataset_dir: Path, tmp_path: Path) -> Callable[..., TrainOptions]:
    """``options(**flags)``: a training of LeNet for two steps."""

    def make(**flags: Any) -> TrainOptions:
        defaults = {
            "dataset_dir": str(dataset_dir), "train_dir": str(tmp_path / "trained"), "model_name": "lenet",
            "batch_size": 4, "max_number_of_steps": 2, "clone_on_cpu": True,
        }  # fmt: skip
        return config.with_values(TrainOptions(), {**defaults, **flags})

    return make


@pytest.fixture
def make_job(options: Callable[..., TrainOptions]) -> Callable[..., Job]:
    """``make_job(**flags)``: what is decided of such a training in this process."""
    return lambda **flags: prepare(options(**flags), parse_tf_config(None))
