from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train.retraining.flip_averaging import average_flip
from slim_train.retraining.modules import FeatureModule, load_module
from slim_train.retraining.options import ModuleOptions
from slim_train.tf_compat import slim, tf

SIZE = 8
IMAGES = np.random.default_rng(0).random((3, SIZE, SIZE, 3), np.float32)


@pytest.fixture
def lopsided_module(tmp_path: Path, save_module: Callable[..., Path]) -> Path:
    """A module whose features depend on which side is left."""

    def build(images: Any) -> Any:
        net = slim.conv2d(images, 4, [3, 3], stride=2, weights_initializer=slim.variance_scaling_initializer(seed=1))
        return slim.flatten(net[:, :, :2])

    return save_module(tmp_path / "lopsided", build)


def load(folder: Path, **flags: Any) -> FeatureModule:
    return load_module(ModuleOptions(tfhub_module=str(folder), precision="fp32", **flags))


def features(module: FeatureModule, images: np.ndarray) -> np.ndarray:
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.float32, [None, module.height, module.width, 3])
        return session.run(module.features(given), {given: images})


def test_features_are_the_mean_of_an_image_and_its_mirror_image(lopsided_module: Path) -> None:
    plain, averaged = load(lopsided_module), load(lopsided_module, average_flip=True)
    of_images, of_mirrored = features(plain, IMAGES), features(plain, IMAGES[:, :, ::-1])
    assert np.abs(of_images - of_mirrored).max() > 0.01
    np.testing.assert_allclose(features(averaged, IMAGES), (of_images + of_mirrored) / 2, rtol=1e-5, atol=1e-6)


def test_cached_features_of_one_kind_are_not_taken_for_the_other(lopsided_module: Path) -> None:
    assert load(lopsided_module).identity != load(lopsided_module, average_flip=True).identity


def test_input_and_outputs_keep_their_names() -> None:
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 2, 2, 3], name="pixels")
        tf.reduce_mean(images, axis=[1, 2], name="colors")
        tf.reduce_max(images, axis=[1, 2], name="brightest")
    averaged = average_flip(graph.as_graph_def(), "pixels:0", ["colors", "brightest"])
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(averaged, name="")
    assert graph.get_tensor_by_name("pixels:0").shape.as_list() == [None, 2, 2, 3]
    assert graph.get_tensor_by_name("colors:0").shape.as_list() == [None, 3]
    assert graph.get_tensor_by_name("brightest:0").shape.as_list() == [None, 3]
