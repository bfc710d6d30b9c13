"""features.json of TensorFlow Datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datasets.tfds import Features, labels_file, read_features

_KIND = "tensorflow_datasets.core.features."


def _new(features: dict[str, Any]) -> dict[str, Any]:
    return {"pythonClassName": f"{_KIND}features_dict.FeaturesDict", "featuresDict": {"features": features}}


def _label(count: int) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_KIND}class_label_feature.ClassLabel",
        "classLabel": {"numClasses": str(count)},
    }


_IMAGE = {"pythonClassName": f"{_KIND}image_feature.Image", "image": {"shape": {"dimensions": ["32", "32", "3"]}}}


def test_the_form_of_today_is_read(tmp_path: Path) -> None:
    (tmp_path / "features.json").write_text(json.dumps(_new({"image": _IMAGE, "label": _label(10)})))
    assert read_features(tmp_path) == Features("image", "label", {"label": 10})


def test_the_form_before_is_read(tmp_path: Path) -> None:
    image = {"type": f"{_KIND}image_feature.Image", "content": {"shape": [None, None, 3]}}
    label = {"type": f"{_KIND}class_label_feature.ClassLabel", "content": {"num_classes": 102}}
    content = {"type": f"{_KIND}features_dict.FeaturesDict", "content": {"image": image, "label": label}}
    (tmp_path / "features.json").write_text(json.dumps(content))
    assert read_features(tmp_path) == Features("image", "label", {"label": 102})


def test_keys_of_features_in_features_are_joined(tmp_path: Path) -> None:
    inner = _new({"photo": _IMAGE, "kind": _label(3)})
    (tmp_path / "features.json").write_text(json.dumps(_new({"pet": inner})))
    assert read_features(tmp_path) == Features("pet/photo", "pet/kind", {"pet/kind": 3})
    assert labels_file("pet/kind") == "pet-kind.labels.txt"


def test_of_several_labels_the_supervised_one_is_taken(tmp_path: Path) -> None:
    features = {"image": _IMAGE, "coarse_label": _label(20), "label": _label(100)}
    (tmp_path / "features.json").write_text(json.dumps(_new(features)))
    counts = {"coarse_label": 20, "label": 100}
    assert read_features(tmp_path) == Features("image", None, counts)
    keys = {"supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(keys))
    assert read_features(tmp_path) == Features("image", "label", counts)


@pytest.mark.parametrize("content", ["", "[1]", '{"features": 3}', '{"featuresDict": {"features": {"image": 1}}}'])
def test_another_programs_file_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "features.json").write_text(content)
    assert read_features(tmp_path) == Features()
