"""A small module in TF1 Hub format and small images for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train.retraining.modules import FeatureModule, load_module
from slim_train.retraining.options import ModuleOptions
from slim_train.tf_compat import tf

SIZE = 8
COLOURS = {"Blue Sky": (20, 30, 220), "grass": (30, 200, 20), "roses": (220, 20, 30)}


def _save_module(
    folder: Path, build: Callable[[Any], Any], signature: str = "default", size: int | None = SIZE
) -> Path:
    """Write what ``build`` makes of images as a TF1 Hub module."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, size, size, 3], name="images")
        outputs = build(images)
        session.run(tf.global_variables_initializer())
        builder = tf.saved_model.Builder(str(folder))
        outputs = outputs if isinstance(outputs, dict) else {"default": outputs}
        signatures = {signature: tf.saved_model.predict_signature_def({"images": images}, outputs)}
        builder.add_meta_graph_and_variables(session, [], signatures)
        builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return folder


def mean_colour(images: Any) -> Any:
    """Three features: ten times the mean of red, green and blue."""
    scale = tf.get_variable("scale", initializer=10.0)
    return scale * tf.reduce_mean(images, axis=[1, 2])


@pytest.fixture(scope="session")
def save_module() -> Callable[..., Path]:
    """A function (folder, build, signature="default", size=8) that writes a module and gives its folder."""
    return _save_module


@pytest.fixture(scope="session")
def colour_module_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save_module(tmp_path_factory.mktemp("modules") / "mean_colour", mean_colour)


@pytest.fixture(scope="session")
def colour_module(colour_module_folder: Path) -> FeatureModule:
    return load_module(ModuleOptions(tfhub_module=str(colour_module_folder)))


@pytest.fixture(scope="session")
def wide_module(tmp_path_factory: pytest.TempPathFactory) -> FeatureModule:
    """Two features: the mean light of the left and of the right half."""
    return _halves(tmp_path_factory.mktemp("modules") / "wide", axis=2)


@pytest.fixture(scope="session")
def tall_module(tmp_path_factory: pytest.TempPathFactory) -> FeatureModule:
    """Two features: the mean light of the upper and of the lower half."""
    return _halves(tmp_path_factory.mktemp("modules") / "tall", axis=1)


def _halves(folder: Path, axis: int) -> FeatureModule:
    def build(images: Any) -> Any:
        return tf.stack([tf.reduce_mean(half, axis=[1, 2, 3]) for half in tf.split(images, 2, axis=axis)], axis=1)

    return load_module(ModuleOptions(tfhub_module=str(_save_module(folder, build))))


@pytest.fixture
def image_dir(tmp_path: Path) -> Path:
    """Three classes of 24 images, each of nearly one color."""
    random = np.random.default_rng(5)
    for name, colour in COLOURS.items():
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(24):
            pixels = np.clip(random.normal(colour, 30, (12, 10, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "pictures"
