from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train import config
from slim_train.bulk import feature_net
from slim_train.bulk.feature_net import list_end_points, load_feature_net
from slim_train.bulk.features import FeatureBody
from slim_train.bulk.frozen_net import FeatureNet
from slim_train.bulk.listing import list_images
from slim_train.bulk.options import FeatureNetOptions, ListedImages
from slim_train.errors import UsageError
from slim_train.nets.factory import get_record
from slim_train.retraining.bottlenecks import BottleneckStore
from slim_train.retraining.image_features import ImageFiles, compute_features
from slim_train.retraining.modules import load_module
from slim_train.retraining.options import ModuleOptions
from slim_train.training_options import UserCodeOptions
from slim_train.zoo.identify import Match

CODE = UserCodeOptions()


def options(mobilenet_folder: Path, **flags: Any) -> FeatureNetOptions:
    return FeatureNetOptions(checkpoint_path=str(mobilenet_folder), precision="fp32", **flags)


def test_end_points_are_listed_with_their_shapes(mobilenet_folder: Path) -> None:
    found = dict(list_end_points(options(mobilenet_folder), CODE))
    assert found["features"] == (1, 1, 256)
    assert found["Conv2d_13_pointwise"] == (2, 2, 256)


def test_an_unknown_end_point_is_answered_with_the_nearest(mobilenet_folder: Path) -> None:
    with pytest.raises(UsageError, match="Conv2d_13_pointwise"):
        load_feature_net(options(mobilenet_folder, end_points="Conv2d_13_pointwis"), CODE)


def test_features_are_those_of_retrain_and_broken_images_have_an_error(
    mobilenet_folder: Path, image_dir: Path, tmp_path: Path
) -> None:
    images = list_images(ListedImages(image_dir=str(image_dir)))
    net = load_feature_net(options(mobilenet_folder, end_points="features,Conv2d_13_pointwise"), CODE)
    with FeatureBody(net, images.opener(), threads=2) as body:
        first, second = body(images.rows), body(images.rows[:3])
    np.testing.assert_array_equal(second.vectors["features"], first.vectors["features"][:3])
    # mobilenet_v1 pools its last map
    np.testing.assert_allclose(first.vectors["features"], first.vectors["Conv2d_13_pointwise"], rtol=1e-4, atol=1e-5)
    (broken,) = (number for number, error in enumerate(first.errors) if error)
    assert images.rows[broken].path == "dog/broken.jpg"
    assert not first.vectors["features"][broken].any()

    module = load_module(
        ModuleOptions(
            model_name="mobilenet_v1_025", checkpoint_path=str(mobilenet_folder), image_size=64, precision="fp32"
        )
    )
    store = BottleneckStore(tmp_path / "store", 256)
    keys = compute_features(module, ImageFiles(image_dir, [row.path for row in images.rows]), store)
    np.testing.assert_allclose(first.vectors["features"], store.gather(keys), rtol=1e-5, atol=1e-6)
    assert module.identity == net.identity


@pytest.mark.slow
def test_a_recognized_checkpoint_is_preprocessed_as_its_weights_were_trained(
    mobilenet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in mobilenet_folder.glob("model.ckpt-7.*"):
        shutil.copy(file, tmp_path)
    released = dataclasses.replace(
        get_record("mobilenet_v1_025"), num_classes=5, checkpoint_image_size=32, checkpoint_preprocessing="vgg"
    )
    match = Match(released, 5, missing=(), reshaped=(), others=())
    monkeypatch.setattr(feature_net, "identify", lambda checkpoint: match)
    net = load_feature_net(options(tmp_path), CODE)
    assert (net.preprocessing, net.height) == ("vgg", 32)
    again = load_module(config.with_values(ModuleOptions(), net.flags))  # as retrain --features opens it
    assert again.identity == net.identity
    assert load_feature_net(options(tmp_path, preprocessing_name="inception"), CODE).identity != net.identity


def test_without_pooling_all_values_of_a_map_are_stored(mobilenet_folder: Path) -> None:
    (point,) = load_feature_net(
        options(mobilenet_folder, end_points="Conv2d_13_pointwise", pooling="none"), CODE
    ).end_points
    assert (point.shape, point.length) == ((2, 2, 256), 1024)


def test_a_net_is_read_as_it_was_written(mobilenet_folder: Path, tmp_path: Path) -> None:
    net = load_feature_net(options(mobilenet_folder), CODE)
    net.write(tmp_path)
    assert FeatureNet.read(tmp_path) == net


@pytest.mark.slow
def test_features_averaged_over_the_mirror_image_are_those_of_retrain(mobilenet_folder: Path) -> None:
    net = load_feature_net(options(mobilenet_folder, average_flip=True), CODE)
    again = load_module(dataclasses.replace(config.with_values(ModuleOptions(), net.flags), precision="fp32"))
    assert again.identity == net.identity
    assert net.identity != load_feature_net(options(mobilenet_folder), CODE).identity


def test_maps_are_not_averaged_over_the_mirror_image(mobilenet_folder: Path) -> None:
    with pytest.raises(UsageError, match="--average_flip and --pooling=none cannot be combined"):
        options(mobilenet_folder, average_flip=True, pooling="none")
