"""A small trained net, and images to show it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets import tfrecords
from datasets.spec import DatasetSpec
from slim_train.nets import factory as nets
from slim_train.tf_compat import slim, tf

FLOWERS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")


def _write_training_folder(
    folder: Path, *, seed: int = 0, averages_seed: int | None = None, model_name: str = "cifarnet"
) -> Path:
    """A training folder at step 7: ``model_name`` on 64 pixels with five classes, its weights drawn by ``seed``.

    With ``averages_seed`` the checkpoint also holds moving averages, drawn by that.
    """
    folder.mkdir(parents=True)
    (folder / "labels.txt").write_text("".join(f"{label}:{name}\n" for label, name in enumerate(FLOWERS)))
    (folder / "info.json").write_text(json.dumps({"num_class": 5, "num_sample_train": 10, "num_sample_test": 5}))
    (folder / "config.yaml").write_text(
        f"dataset_dir: gone\nmodel_name: {model_name}\npreprocessing_name: inception\n"
        "train_image_size: 64\nscaled_decoding: auto\n"
    )
    with tf.Graph().as_default():
        nets.get_network_fn(model_name, num_classes=5)(tf.zeros([1, 64, 64, 3]))
        shapes = {variable.op.name: variable.shape.as_list() for variable in slim.get_model_variables()}
    values: dict[str, Any] = {"global_step": np.int64(7), **_values(shapes, seed)}
    if averages_seed is not None:
        averages = _values(shapes, averages_seed)
        values |= {f"{name}/ExponentialMovingAverage": value for name, value in averages.items()}
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        saver = tf.train.Saver({name: tf.Variable(value) for name, value in values.items()})
        session.run(tf.global_variables_initializer())
        saver.save(session, str(folder / "model.ckpt-7"), write_meta_graph=False)
    return folder


def _values(shapes: dict[str, list[int]], seed: int) -> dict[str, Any]:
    """Weights that keep the size of what passes through the net, and statistics of batch norm that change it a bit."""
    random = np.random.default_rng(seed)
    values = {}
    for name, shape in shapes.items():
        if len(shape) == 4:
            inputs = shape[0] * shape[1] * (1 if "depthwise" in name else shape[2])
            drawn = random.normal(0.0, (2.0 / inputs) ** 0.5, shape)
        elif name.endswith(("gamma", "moving_variance")):
            drawn = random.uniform(0.5, 1.5, shape)
        else:
            drawn = random.normal(0.0, 0.2, shape)
        values[name] = drawn.astype(np.float32)
    return values


@pytest.fixture(scope="session")
def write_training_folder() -> Callable[..., Path]:
    """``write_training_folder(folder, seed=0, averages_seed=None, model_name="cifarnet")``: see above."""
    return _write_training_folder


@pytest.fixture(scope="session")
def training_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training folder that no test changes."""
    return _write_training_folder(tmp_path_factory.mktemp("trained") / "flowers")


@pytest.fixture(scope="session")
def mobilenet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for a deep net, which takes ten times as long to load: for tests of what only such nets have."""
    return _write_training_folder(tmp_path_factory.mktemp("trained_deep") / "flowers", model_name="mobilenet_v1_025")


@pytest.fixture(scope="session")
def photo() -> Callable[..., bytes]:
    """``photo(format="JPEG", size=(90, 70), mode="RGB", seed=0, **options)``: the bytes of soft patches of color."""

    def make(
        image_format: str = "JPEG", size: tuple[int, int] = (90, 70), mode: str = "RGB", seed: int = 0, **options: Any
    ) -> bytes:
        patches = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC).convert(mode).save(
            buffer, image_format, **options
        )
        return buffer.getvalue()

    return make


@pytest.fixture
def photo_split(photo: Callable[..., bytes], tmp_path: Path) -> DatasetSpec:
    """The test split of a data set: three photos of 64 pixels, all of the second of five classes."""
    images = [photo("PNG", size=(64, 64), seed=number) for number in range(3)]
    examples = [tfrecords.image_example(data, "png", 1, "b", 64, 64, f"{n}.png") for n, data in enumerate(images)]
    path = tmp_path / "toy_test.tfrecord"
    tfrecords.write_records(str(path), examples)
    return DatasetSpec("toy", "test", str(tmp_path), (str(path),), 5, 3, tuple("abcde"))
