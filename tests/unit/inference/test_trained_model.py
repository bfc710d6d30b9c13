from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from slim_train.errors import RunError, UsageError
from slim_train.exporting.keras_file import write_keras
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import load_predictor
from slim_train.inference.trained_model import TrainedModel, find_trained_model
from slim_train.tf_compat import tf


def scores(trained: TrainedModel) -> np.ndarray:
    """Of one image that is the same every time."""
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        pixels, probabilities = trained.build()
        trained.restore(session)
        shape = [1, *pixels.shape.as_list()[1:]]
        return session.run(probabilities, {pixels: np.random.default_rng(0).uniform(0, 255, shape)})


def test_a_training_folder_says_all_there_is_to_know(mobilenet_folder: Path) -> None:
    trained = find_trained_model(mobilenet_folder)
    assert (trained.spec.name, trained.spec.image_size, trained.spec.preprocessing) == (
        "mobilenet_v1_025",
        64,
        "inception",
    )
    assert trained.labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert (trained.info().step, trained.info().checkpoint) == (7, "model.ckpt-7")


def test_flags_override_the_folder(mobilenet_folder: Path) -> None:
    trained = find_trained_model(
        mobilenet_folder,
        ModelOverrides(input_height=32, input_width=32, preprocessing_name="vgg", labels=tuple("abcde")),
    )
    assert (trained.spec.image_size, trained.spec.preprocessing) == (32, "vgg")
    assert trained.labels == tuple("abcde")


def test_a_background_class_comes_first(mobilenet_folder: Path) -> None:
    trained = find_trained_model(mobilenet_folder, ModelOverrides(labels_offset=-1))
    assert trained.labels == ("background", "daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert trained.spec.num_classes == 6


def test_classes_beyond_those_of_the_data_set_are_numbered(mobilenet_folder: Path) -> None:
    trained = find_trained_model(mobilenet_folder, ModelOverrides(num_classes=6))
    assert trained.labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips", "5")


def test_the_best_checkpoint_is_described_by_the_folder_above(mobilenet_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(mobilenet_folder, tmp_path / "run"))
    (folder / "best").mkdir()
    for file in folder.glob("model.ckpt-7.*"):
        file.rename(folder / "best" / file.name)
    trained = find_trained_model(folder / "best")
    assert trained.labels[0] == "daisy"
    assert trained.folder == folder


def test_a_checkpoint_without_config_whose_net_is_named_needs_the_classes(
    mobilenet_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(mobilenet_folder, tmp_path / "released"))
    for name in ("config.yaml", "info.json", "labels.txt"):
        (folder / name).unlink()
    with pytest.raises(UsageError, match="give --labels or --num_classes"):
        find_trained_model(folder, ModelOverrides(model_name="mobilenet_v1_025"))
    trained = find_trained_model(folder, ModelOverrides(model_name="mobilenet_v1_025", num_classes=5))
    assert trained.labels == ("0", "1", "2", "3", "4")


@pytest.mark.slow
def test_moving_averages_are_taken_where_there_are_some_unless_told_otherwise(
    write_training_folder: Callable[..., Path], mobilenet_folder: Path, tmp_path: Path
) -> None:
    folder = write_training_folder(tmp_path / "averaged", seed=1, averages_seed=0, model_name="mobilenet_v1_025")
    averaged, plain = find_trained_model(folder), find_trained_model(folder, ModelOverrides(use_averages=False))
    assert averaged.takes_averages()
    assert not plain.takes_averages()
    expected = scores(find_trained_model(mobilenet_folder))
    np.testing.assert_allclose(scores(averaged), expected, rtol=1e-4)
    assert np.abs(scores(plain) - expected).max() > 0.01


def test_moving_averages_that_are_not_there_are_an_error(mobilenet_folder: Path) -> None:
    with pytest.raises(RunError, match="ExponentialMovingAverage is not in it"):
        scores(find_trained_model(mobilenet_folder, ModelOverrides(use_averages=True)))


def test_another_number_of_classes_is_an_error_that_names_the_variable(mobilenet_folder: Path) -> None:
    trained = find_trained_model(mobilenet_folder, ModelOverrides(labels=tuple("abcdefg")))
    with pytest.raises(RunError, match=r"with 7 classes: MobilenetV1/Logits/\S+ has shape \[(1, 1, 256, )?5\] there"):
        scores(trained)


def test_the_frozen_graph_has_no_variables_and_no_compiled_parts(mobilenet_folder: Path) -> None:
    graph_def = find_trained_model(mobilenet_folder).freeze()
    functions = [node for function in graph_def.library.function for node in function.node_def]
    nodes = [*graph_def.node, *functions]
    assert not [node.op for node in nodes if "Var" in node.op or "PartitionedCall" in node.op]
    assert not [node.name for node in nodes if "_XlaMustCompile" in node.attr]
    assert not [node.name for node in nodes if "BatchNorm" in node.op]
    assert {"pixels", "input", "scores", "MobilenetV1/Predictions/Reshape_1"} <= {node.name for node in graph_def.node}


@pytest.fixture
def alone(mobilenet_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint of mobilenet_v1_025 for 5 classes, without its training folder."""
    for file in mobilenet_folder.glob("model.ckpt-7.*"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_a_checkpoint_by_itself_is_recognized(alone: Path, mobilenet_folder: Path) -> None:
    trained = find_trained_model(alone, ModelOverrides(input_height=64, input_width=64))
    assert (trained.spec.name, trained.spec.num_classes, trained.spec.image_size) == ("mobilenet_v1_025", 5, 64)
    assert trained.labels == ("0", "1", "2", "3", "4")
    np.testing.assert_array_equal(scores(trained), scores(find_trained_model(mobilenet_folder)))


@pytest.mark.slow
def test_another_number_of_classes_than_a_recognized_checkpoint_has_is_refused(alone: Path) -> None:
    with pytest.raises(UsageError, match=r"--num_classes=7: .*model\.ckpt-7 has 5 classes\."):
        find_trained_model(alone, ModelOverrides(num_classes=7))
    assert find_trained_model(alone, ModelOverrides(num_classes=5)).spec.num_classes == 5


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 6])
def test_names_that_may_all_be_one_off_are_refused(alone: Path, count: int) -> None:
    labels = [f"class {index}" for index in range(count)]
    with pytest.raises(UsageError, match=f"has 5 classes, and {count} are named.*--labels must have a line for each"):
        load_predictor(alone, ModelOverrides(labels=tuple(labels)))
    (alone / "labels.txt").write_text("".join(f"{index}:{label}\n" for index, label in enumerate(labels)))
    with pytest.raises(UsageError, match=f"are named.*give --labels_offset={count - 5}.*=0 keeps"):
        find_trained_model(alone)
    assert len(find_trained_model(alone, ModelOverrides(labels_offset=count - 5)).labels) == 5


@pytest.mark.slow
def test_a_keras_file_says_its_net_its_image_size_and_its_classes(
    mobilenet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    trained = find_trained_model(mobilenet_folder)
    write_keras(tmp_path / "model.keras", trained, trained.info())
    back = find_trained_model(tmp_path / "model.keras")
    assert (back.spec.identity(), back.labels) == (trained.spec.identity(), trained.labels)
    (tmp_path / "model.json").unlink()
    assert find_trained_model(tmp_path / "model.keras").spec.identity() == trained.spec.identity()
    with load_predictor(tmp_path / "model.keras") as predictor:
        assert predictor.image_size == (64, 64)
