from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.errors import UsageError
from slim_train.interchange.converted import Facts
from slim_train.interchange.keras_checkpoint import checkpoint_of_keras, convert_keras
from slim_train.interchange.keras_model import build_model
from slim_train.interchange.read_layers import read_layers
from slim_train.preprocessing.factory import get_recipe, recipe_names
from slim_train.tf_compat import inference_mode, keras_3, slim, tf


def save(path: Path, recipe: str = "inception", channels: int = 3) -> dict[str, Any]:
    """Write a small net and return its variables."""
    with tf.Graph().as_default() as graph, inference_mode(), tf.Session(graph=graph) as session:
        pixels = tf.placeholder(tf.float32, [None, 6, 6, channels])
        net = get_recipe(recipe).eval_batch(pixels)
        net = slim.separable_conv2d(net, 4, 3, normalizer_fn=slim.batch_norm, scope="net/conv")
        net = tf.nn.local_response_normalization(net)
        logits = slim.fully_connected(slim.flatten(net), 3, scope="net/logits")
        session.run(tf.global_variables_initializer())
        layers = read_layers(pixels, tf.nn.softmax(logits))
        values = session.run({name: f"{name}/Read/ReadVariableOp:0" for name in layers.variables()})
    build_model("net", layers, values).save(path)
    return values


def test_variables_come_back_to_the_bit_and_class_names_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    saved = save(tmp_path / "model.keras")
    (tmp_path / "model.json").write_text(json.dumps({"model_name": "net", "labels": ["a", "b", "c"]}))
    prefix = resolve_checkpoint(str(tmp_path / "model.keras"))
    assert prefix == checkpoint_of_keras(tmp_path / "model.keras")
    reader = tf.train.load_checkpoint(prefix)
    assert set(reader.get_variable_to_shape_map()) == set(saved)
    for name, value in saved.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value)
    facts = convert_keras(tmp_path / "model.keras", tmp_path / "model.json").facts
    assert facts == Facts("net", 6, 3, "inception", ("a", "b", "c"))


def test_a_model_that_has_got_other_classes_in_keras_keeps_its_trunk_and_loses_their_names(tmp_path: Path) -> None:
    saved = save(tmp_path / "model.keras")
    keras = keras_3()
    model = keras.saving.load_model(tmp_path / "model.keras")
    before = model.get_layer("net.logits").input
    finer = keras.Model(model.input, keras.layers.Dense(5, name="finer")(before))
    finer.get_layer("net.conv").set_weights([np.ones_like(saved["net/conv/depthwise_weights"])])
    finer.save(tmp_path / "finer.keras")
    (tmp_path / "finer.json").write_text(json.dumps({"labels": ["a", "b", "c"]}))
    converted = convert_keras(tmp_path / "finer.keras", tmp_path / "finer.json")
    trunk = {name for name in saved if not name.startswith("net/logits")}
    assert set(converted.values) == trunk | {"finer/weights", "finer/biases"}
    assert (converted.values["net/conv/depthwise_weights"] == 1.0).all()
    assert converted.facts.labels is None


@pytest.mark.parametrize(("recipe", "channels"), [*((name, 3) for name in recipe_names()), ("vgg", 1)])
def test_the_preprocessing_is_known_by_its_layers(recipe: str, channels: int, tmp_path: Path) -> None:
    save(tmp_path / "model.keras", recipe, channels)
    facts = convert_keras(tmp_path / "model.keras", tmp_path / "none.json").facts
    assert facts == Facts(None, 6, channels, recipe, None)


def test_a_model_of_others_is_refused(tmp_path: Path) -> None:
    keras = keras_3()
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2)])
    model.save(tmp_path / "other.keras")
    with pytest.raises(UsageError, match=r"other.keras is neither a model that export_inference_graph --formats=keras"):
        convert_keras(tmp_path / "other.keras", tmp_path / "none.json")


def test_a_model_with_the_name_of_another_and_odd_layers_is_refused_in_a_line(tmp_path: Path) -> None:
    keras = keras_3()
    layers = [keras.Input((64, 64, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential(layers, name="vgg16").save(tmp_path / "other.keras")
    with pytest.raises(UsageError, match=r"^[^\n]*other.keras (holds layers that|is vgg16 of Keras)[^\n]*$"):
        convert_keras(tmp_path / "other.keras", tmp_path / "none.json")


def test_a_first_layer_that_is_no_recipe_is_none(tmp_path: Path) -> None:
    keras = keras_3()
    images = keras.Input((8, 8, 3), name="pixels")
    net = keras.layers.Flatten()(keras.layers.Rescaling([1.0, 2.0, 3.0], 0.5)(images))
    keras.Model(images, keras.layers.Dense(2, name="logits")(net)).save(tmp_path / "model.keras")
    assert convert_keras(tmp_path / "model.keras", tmp_path / "none.json").facts == Facts(None, 8, 3)


@pytest.mark.parametrize("temperature", ["warm", 0, -1.0])
def test_a_temperature_that_is_none_is_refused(temperature: object, tmp_path: Path) -> None:
    save(tmp_path / "model.keras")
    (tmp_path / "model.json").write_text(json.dumps({"temperature": temperature}))
    with pytest.raises(UsageError, match=r"model.json: the temperature .* must be a number above 0"):
        convert_keras(tmp_path / "model.keras", tmp_path / "model.json")
