"""Full-integer TFLite models: calibrated on real images, measured on a split, refused if too much is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.errors import DataError
from datasets.factory import get_dataset
from datasets.tfrecords import image_example, write_records
from slim_train import config
from slim_train.errors import RunError, UsageError
from slim_train.exporting import run
from slim_train.exporting.formats import write_tflite
from slim_train.exporting.options import ExportOptions
from slim_train.exporting.quantization import Accuracy, Quantization, spread
from slim_train.inference.predictor import load_predictor
from slim_train.inference.tflite_model import TfliteModel
from slim_train.inference.trained_model import find_trained_model
from slim_train.tf_compat import tf

FLOWERS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, mobilenet_folder: Path, photo: Callable[..., bytes]) -> Path:
    """Splits train and test of photos, labeled as the checkpoint says, but for one image of test."""
    folder = tmp_path_factory.mktemp("data")
    images = [photo(seed=seed) for seed in range(12)]
    with load_predictor(mobilenet_folder) as predictor:
        labels = predictor.predict(images).argmax(axis=1).tolist()
    labels[-1] = next(label for label in range(len(FLOWERS) - 1) if label != labels[-1])
    assert FLOWERS.index("tulips") not in labels
    for split, chosen in (("train", range(8)), ("test", range(4, 12))):
        records = (
            image_example(images[index], "jpeg", labels[index], FLOWERS[labels[index]], 70, 90, f"{index}.jpg")
            for index in chosen
        )
        write_records(folder / f"flowers_{split}.tfrecord", records)
    (folder / "labels.txt").write_text("".join(f"{label}:{name}\n" for label, name in enumerate(FLOWERS)))
    info = {"name": "flowers", "num_class": 5, "num_sample_train": 8, "num_sample_test": 8}
    (folder / "info.json").write_text(json.dumps(info))
    return folder


def _export(mobilenet_folder: Path, **flags: Any) -> Any:
    given = {"checkpoint_path": str(mobilenet_folder), "formats": "tflite_int8_full", "num_check_images": 2, **flags}
    return run.run(config.with_values(ExportOptions(), given))


@pytest.mark.slow
def test_the_model_takes_and_gives_8_bits_and_its_accuracy_is_reported(
    mobilenet_folder: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    flags = {"dataset_dir": str(data), "representative_images": "train", "check_accuracy": "test"}
    report = _export(mobilenet_folder, export_dir=str(tmp_path / "out"), max_accuracy_drop=0.5, **flags)
    (file,) = report.files
    assert (file.path, file.format) == ("model_int8_full.tflite", "TFLite int8_full")
    assert (file.accuracy.split, file.accuracy.images, file.accuracy.checkpoint) == ("test", 8, 7 / 8)
    assert "accuracy on test: 87.50% before" in caplog.text
    stored = json.loads((tmp_path / "out" / "export.json").read_text())["files"][0]["accuracy"]
    assert stored["exported"] == file.accuracy.exported
    path = tmp_path / "out" / "model_int8_full.tflite"
    interpreter = TfliteModel(path)._interpreter
    for tensor in (*interpreter.get_input_details(), *interpreter.get_output_details()):
        assert tensor["dtype"] == np.int8
        assert tensor["shape_signature"][0] == -1
    by_channel = [t for t in interpreter.get_tensor_details() if len(t["quantization_parameters"]["scales"]) > 1]
    assert len(by_channel) > 20
    assert not [t["name"] for t in interpreter.get_tensor_details() if t["dtype"] == np.float32]
    with load_predictor(path) as predictor, load_predictor(mobilenet_folder) as trained:
        pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.float32)
        assert np.abs(predictor.scores(pixels) - trained.scores(pixels)).max() < 0.5


@pytest.mark.slow
def test_a_drop_of_the_accuracy_ends_the_export(mobilenet_folder: Path, data: Path, tmp_path: Path) -> None:
    trained, dataset = find_trained_model(mobilenet_folder), get_dataset(None, "test", data)
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(tf.float32, [None, 64, 64, 3], name="pixels")
        # Nothing but tulips, which no image shows.
        nothing = 0 * tf.reduce_mean(tf.tile(pixels, [1, 1, 1, 2])[..., :5], [1, 2])
        tf.nn.softmax(nothing + np.float32([0, 0, 0, 0, 5]), name="scores")
    path = tmp_path / "constant.tflite"
    write_tflite(path, graph.as_graph_def(), "float32", trained.info())
    with pytest.raises(RunError, match=r"costs too much: accuracy on test: 87.50% before, 0.00% after.*drop=0\.8\."):
        Quantization(trained, (), dataset, 0.8).measure(path)
    assert Quantization(trained, (), dataset, 0.875).measure(path) == Accuracy("test", 8, 7 / 8, 0.0)
    assert Quantization(trained, (), None, 0.0).measure(path) is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "--formats=tflite_int8_full requires --representative_images"),
        ({"representative_images": "train"}, "--dataset_dir=gone does not exist"),
        ({"representative_images": "trian", "dataset_dir": "data"}, "--representative_images.*trian.*train"),
        ({"representative_images": "gone/*.jpg"}, "--representative_images: there is no image at gone"),
        (
            {"representative_images": "train", "dataset_dir": "data", "check_accuracy": "validation"},
            "--check_accuracy.*validation",
        ),
        (
            {"formats": "frozen", "check_accuracy": "test"},
            "--check_accuracy applies only to --formats=tflite_int8_full",
        ),
        ({"formats": "frozen", "representative_images": "train"}, "--representative_images applies only to"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_written(
    flags: dict[str, Any], message: str, mobilenet_folder: Path, data: Path, tmp_path: Path
) -> None:
    given = {**flags, **({"dataset_dir": str(data)} if "dataset_dir" in flags else {})}
    with pytest.raises((UsageError, DataError), match=message) as caught:
        _export(mobilenet_folder, export_dir=str(tmp_path / "out"), **given)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_images_are_spread_over_all_classes() -> None:
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(2), 3) == [0, 1]
