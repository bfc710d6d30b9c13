"""Features in memory and in the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from slim_train.bulk.cached_features import image_features
from slim_train.bulk.feature_net import load_feature_net
from slim_train.bulk.features import FeatureBody
from slim_train.bulk.frozen_net import FeatureNet
from slim_train.bulk.listing import list_images
from slim_train.bulk.options import FeatureNetOptions, ListedImages
from slim_train.training_options import UserCodeOptions


@pytest.fixture(scope="module")
def net(training_folder: Path) -> FeatureNet:
    options = FeatureNetOptions(checkpoint_path=str(training_folder), precision="fp32")
    return load_feature_net(options, UserCodeOptions())


@pytest.mark.slow
def test_a_second_run_computes_what_is_new_and_moved_images_keep_theirs(
    net: FeatureNet, image_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(image_dir / "cat/0.jpg", image_dir / "dog/copy.jpg")
    images = list_images(ListedImages(image_dir=str(image_dir)))
    first = image_features(net, images, tmp_path / "cache")
    paths = [row.path for row in images.rows]
    assert first.keys[paths.index("dog/broken.jpg")] is None
    assert not first.vectors[paths.index("dog/broken.jpg")].any()
    assert first.keys[paths.index("cat/0.jpg")] == first.keys[paths.index("dog/copy.jpg")]
    assert np.isfinite(first.vectors).all()
    (image_dir / "dog/4.jpg").rename(image_dir / "cat/moved.jpg")
    computed: list[str] = []
    original = FeatureBody.__call__

    def noting(body: FeatureBody, rows: list) -> object:  # type: ignore[type-arg]
        computed.extend(row.path for row in rows)
        return original(body, rows)

    monkeypatch.setattr(FeatureBody, "__call__", noting)
    again = list_images(ListedImages(image_dir=str(image_dir)))
    second = image_features(net, again, tmp_path / "cache")
    assert computed == ["dog/broken.jpg"]
    moved = [row.path for row in again.rows].index("cat/moved.jpg")
    assert (second.vectors[moved] == first.vectors[paths.index("dog/4.jpg")]).all()
