"""Keras files of export, changed in Keras or not, as classifiers here."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.exporting.keras_file import write_keras
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import load_predictor
from slim_train.inference.trained_model import find_trained_model
from slim_train.interchange.stored_layers import difference_from, write_layers
from slim_train.nets import factory
from slim_train.tf_compat import keras_3, tf

LABELS = tuple("abcdefghij")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net of the zoo with a temperature, which decodes images in full."""
    folder = tmp_path_factory.mktemp("lenet")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        factory.get_network_fn("lenet", 10)(tf.zeros([1, 28, 28, 1]))
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "model.ckpt-0"))
    given = ModelOverrides(model_name="lenet", labels=LABELS, channels=1, scaled_decoding="never")
    trained = find_trained_model(folder / "model.ckpt-0", given)
    trained = dataclasses.replace(trained, temperature=4.0)
    write_keras(folder / "model.keras", trained, trained.info())
    return folder / "model.keras"


def test_a_file_answers_as_in_keras_with_the_temperature_and_the_decoding_of_its_export(exported: Path) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 28, 28, 1)).astype(np.float32)
    with load_predictor(exported) as predictor:
        np.testing.assert_allclose(
            predictor.scores(pixels), keras_3().saving.load_model(exported)(pixels).numpy(), atol=1e-5
        )
    info = find_trained_model(exported).info()
    assert (info.temperature, info.scaled_decoding) == (4.0, False)


def one_layer_more(model: Any) -> Any:
    keras = keras_3()
    return keras.Model(model.input, keras.layers.Dense(10, activation="softmax", name="after")(model.output))


def softmax_twice(model: Any) -> Any:
    return keras_3().Model(model.input, keras_3().layers.Softmax(name="after")(model.output))


def changed(kind: str, **changes: Any) -> Callable[[Any], Any]:
    def change(layer: Any) -> Any:
        config = layer.get_config()
        return layer.from_config({**config, **changes} if type(layer).__name__ == kind else config)

    def clone(model: Any) -> Any:
        copy = keras_3().models.clone_model(model, clone_function=change)
        copy.set_weights(model.get_weights())
        return copy

    return clone


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_layer_more, "more layers, the first is scores"),
        (softmax_twice, "more layers, the first is scores"),
        (changed("Rescaling", scale=1 / 255, offset=0.0), "scale"),
        (changed("MaxPooling2D", padding="same", pool_size=(3, 3)), "size"),
    ],
)
def test_a_file_that_was_changed_in_keras_is_refused_with_the_difference(
    change: Callable[[Any], Any], message: str, exported: Path, tmp_path: Path
) -> None:
    change(keras_3().saving.load_model(exported)).save(tmp_path / "other.keras")
    shutil.copy(exported.with_suffix(".json"), tmp_path / "other.json")
    with pytest.raises(UsageError, match=rf"^other.keras does not compute the same as lenet .*{message}.* in Keras"):
        find_trained_model(tmp_path / "other.keras")


def test_layers_that_cannot_be_read_are_a_difference_and_a_folder_without_any_has_none(tmp_path: Path) -> None:
    assert difference_from(tmp_path, None, None) == ""
    write_layers(tmp_path, "its layer x is a Lambda")
    assert difference_from(tmp_path, None, None) == "its layer x is a Lambda"
