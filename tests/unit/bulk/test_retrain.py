from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train import config
from slim_train.bulk import retrain
from slim_train.bulk.extract import extract
from slim_train.bulk.feature_table import FeatureTable
from slim_train.bulk.options import ExtractOptions
from slim_train.bulk.parquet import MODEL_FILE
from slim_train.errors import UsageError
from slim_train.retraining import run as local
from slim_train.retraining.options import RetrainOptions
from slim_train.retraining.split import split_images

pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra [parquet])")


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    """Two classes of 24 images, each of nearly one color, and a file that is no image."""
    random = np.random.default_rng(5)
    for channel, name in enumerate(("blue", "red")):
        (tmp_path / "colors" / name).mkdir(parents=True)
        for number in range(24):
            pixels = random.integers(0, 90, (40, 40, 3), np.uint8)
            pixels[:, :, channel] += 120
            Image.fromarray(pixels).save(tmp_path / "colors" / name / f"{number}.png")
    (tmp_path / "colors" / "red" / "notes.jpg").write_text("no image")
    return tmp_path / "colors"


def extract_to(folder: Path, mobilenet_folder: Path, **flags: Any) -> Path:
    given = {"checkpoint_path": str(mobilenet_folder), "output_dir": str(folder), "precision": "fp32", **flags}
    extract(config.with_values(ExtractOptions(), given))
    return folder


def options(out: Path, **flags: Any) -> RetrainOptions:
    given = {
        "bottleneck_dir": str(out / "cache"),
        "output_graph": str(out / "graph.pb"),
        "output_labels": str(out / "labels.txt"),
        "summaries_dir": str(out / "logs"),
        "how_many_training_steps": 40,
        "testing_percentage": 20,
        "validation_percentage": 20,
        "precision": "fp32",
        "seed": 1,
    }
    return config.with_values(RetrainOptions(), {**given, **flags})


def test_features_that_are_there_train_the_classifier_of_retrain(
    mobilenet_folder: Path, colors: Path, tmp_path: Path
) -> None:
    features = extract_to(tmp_path / "features", mobilenet_folder, image_dir=str(colors), images_per_file=20)
    report = retrain.run(options(tmp_path / "a", features=str(features)))
    net = {"model_name": "mobilenet_v1_025", "checkpoint_path": str(mobilenet_folder), "image_size": 64}
    expected = local.run(options(tmp_path / "b", image_dir=str(colors), **net))
    found, known = (json.loads(one.files["report"].read_text()) for one in (report, expected))
    for name in ("labels", "pictures", "rejected"):
        assert json.dumps(found[name]) == json.dumps(known[name]), name
    for name in ("test", "validation"):  # the features are computed in batches of other sizes
        assert found[name]["accuracy"] == known[name]["accuracy"]
    assert found["validation"] == pytest.approx(known["validation"], rel=1e-4)
    assert all(path.exists() for path in report.files.values())
    assert list(report.rejected) == ["red/notes.jpg"]


@pytest.mark.slow
def test_features_of_another_net_are_refused(
    mobilenet_folder: Path, write_training_folder: Any, colors: Path, tmp_path: Path
) -> None:
    features = extract_to(tmp_path / "features", mobilenet_folder, image_dir=str(colors))
    other = write_training_folder(tmp_path / "other", seed=3, model_name="mobilenet_v1_025")
    flags = {"model_name": "mobilenet_v1_025", "checkpoint_path": str(other), "image_size": 64}
    with pytest.raises(UsageError, match="were computed by mobilenet_v1_025 of .*, not by mobilenet_v1_025 of .*other"):
        retrain.run(options(tmp_path / "a", features=str(features), **flags))


def test_a_split_of_the_source_is_kept(mobilenet_folder: Path, colors: Path, tmp_path: Path) -> None:
    shutil.copytree(colors, tmp_path / "split" / "train")
    for name in ("blue", "red"):
        (tmp_path / "split" / "test" / name).mkdir(parents=True)
        shutil.copy(colors / name / "0.png", tmp_path / "split" / "test" / name)
    features = extract_to(tmp_path / "features", mobilenet_folder, image_dir=str(tmp_path / "split"))
    split = FeatureTable(features, "features").split_of_source()
    assert {part: sum(map(len, by_class)) for part, by_class in split.parts.items()} == {
        "training": 48,
        "validation": 0,
        "testing": 2,
    }


def test_the_images_that_are_wanted_are_read_file_by_file(mobilenet_folder: Path, colors: Path, tmp_path: Path) -> None:
    features = extract_to(tmp_path / "features", mobilenet_folder, image_dir=str(colors), images_per_file=20)
    table = FeatureTable(features, "features")
    split = split_images(table.classes, [[n for n in table.names if n.startswith(c)] for c in table.classes], 20, 20)
    assert sum(len(names) for by_class in split.parts.values() for names in by_class) == 49
    everything = table.vectors()
    wanted = np.arange(49) % 3 == 0
    batches = list(table.batches(wanted))
    numbers = np.concatenate([batch.numbers for batch in batches])
    assert sorted(numbers) == [n for n in range(49) if wanted[n] and n not in table.rejected]
    np.testing.assert_array_equal(np.concatenate([batch.vectors for batch in batches]), everything[numbers])


def test_a_folder_without_features_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"holds no {MODEL_FILE}"):
        FeatureTable(tmp_path, "features")


def test_images_and_features_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="cannot be combined"):
        config.with_values(RetrainOptions(), {"features": "a", "image_dir": "b"})
