"""Keras files as they are saved, and as somebody might make them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.interchange.keras_archive import read_keras
from slim_train.tf_compat import keras_3


def make_model() -> Any:
    """A model in a model, two layers of a kind, an operation without a layer, and a sum of two inputs."""
    keras = keras_3()
    images = keras.Input((4, 4, 3), name="images")
    inner = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 1, name="in.first")], name="inner")
    net = keras.ops.relu(inner(images) + 1.0)
    net = keras.layers.Add(name="sum")([keras.layers.Conv2D(2, 3, padding="same", name="second")(net), net])
    return keras.Model(images, keras.layers.BatchNormalization(scale=False, name="bn")(net), name="outer")


def write(path: Path, model: Any, weights: Callable[[Any], None] = lambda file: None) -> Path:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        weights(file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", model if isinstance(model, str) else json.dumps(model))
        archive.writestr("model.weights.h5", buffer.getvalue())
    return path


def dense(kind: str = "Dense") -> dict[str, Any]:
    layers = [{"class_name": kind, "module": "keras.layers", "config": {"name": "logits"}}]
    return {"class_name": "Functional", "config": {"name": "net", "layers": layers}}


def test_layers_have_their_weights_and_what_comes_before_them(tmp_path: Path) -> None:
    model = make_model()
    model.save(tmp_path / "model.keras")
    stored = read_keras(tmp_path / "model.keras")
    assert stored.name == "outer"
    layers = {layer.name: layer for layer in stored.layers}
    assert layers["second"].kind == "Conv2D"
    assert layers["sum"].inputs == ("second", *layers["second"].inputs)
    assert not layers["bn"].has("gamma") and layers["bn"].has("beta")
    expected = {layer.name: layer for layer in (*model.layers, *model.get_layer("inner").layers)}
    for name in ("in.first", "second", "bn"):
        for found, value in zip(layers[name].weights, expected[name].get_weights(), strict=True):
            np.testing.assert_array_equal(found, value)


def test_what_is_no_keras_file_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(UsageError, match=r"text.keras is not a Keras 3 model that can be read \(File is not a zip"):
        read_keras(tmp_path / "text.keras")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("readme.txt", "")
    with pytest.raises(UsageError, match="it holds no config.json"):
        read_keras(tmp_path / "other.keras")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        ("[" * 100_000, "recursion"),
        ({"class_name": "Functional"}, "config"),
        ({"class_name": "MyModel", "config": {}}, "it is a MyModel; only functional and sequential"),
        ("0" * (2 << 20), "config.json in it would take 2,097,152 bytes, which is not plausible"),
    ],
)
def test_a_damaged_model_is_refused_in_a_line(model: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    write(path, model)
    if isinstance(model, str) and len(model) > 1 << 20:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("config.json", model)
    with pytest.raises(UsageError, match=message) as caught:
        read_keras(path)
    assert "\n" not in str(caught.value)


def _huge(file: Any) -> None:
    file.create_dataset("layers/dense/vars/0", shape=(1 << 20, 1 << 10), dtype="float32", compression="gzip")


def _link(file: Any) -> None:
    file.create_group("layers/dense/vars")["0"] = h5py.ExternalLink("/etc/passwd", "/")


def _elsewhere(file: Any) -> None:
    group = file.create_group("layers/dense/vars")
    group.create_dataset("0", shape=(4,), dtype="float32", external=[("/etc/passwd", 0, 16)])


def _text(file: Any) -> None:
    file["layers/dense/vars/0"] = "text"


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (_huge, "weights of layers/dense are not in the file"),
        (_link, "/layers/dense/vars/0 in it is not what Keras writes"),
        (_elsewhere, "weights of layers/dense are not in the file"),
        (_text, "weights of layers/dense are not numbers"),
    ],
)
def test_weights_that_are_not_in_the_file_are_refused(weights: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read_keras(write(tmp_path / "model.keras", dense(), weights))


def test_a_layer_that_would_run_code_is_read_as_data(tmp_path: Path) -> None:
    (layer,) = read_keras(write(tmp_path / "model.keras", dense("Lambda"))).layers
    assert (layer.kind, layer.weights) == ("Lambda", ())


def _many_links(file: Any) -> None:
    group = file.create_group("layers/dense/vars")
    group["0"] = np.zeros(1 << 16, np.float32)
    for index in range(1, 40):
        group[str(index)] = group["0"]


def _compressed(file: Any) -> None:
    file.create_dataset("layers/dense/vars/0", data=np.zeros(100, np.float32), compression="gzip")


@pytest.mark.parametrize("weights", [_many_links, _compressed])
def test_no_more_is_read_than_the_file_has_bytes(weights: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="weights of layers/dense are not in the file"):
        read_keras(write(tmp_path / "model.keras", dense(), weights))


def _three_arrays(file: Any) -> None:
    for index in range(3):
        file[f"layers/dense/vars/{index}"] = np.arange(20, dtype=np.float32)


@pytest.mark.parametrize("part", ["zip", "weights"])
def test_damaged_bytes_never_raise_another_error(part: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.keras", dense(), _three_arrays)
    with zipfile.ZipFile(path) as archive:
        config, weights = (archive.read(name) for name in ("config.json", "model.weights.h5"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights)
    content = path.read_bytes() if part == "zip" else weights
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 3):
            damaged[place] = random.integers(0, 256)
        if part == "zip":
            path.write_bytes(damaged)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("config.json", config)
                archive.writestr("model.weights.h5", bytes(damaged))
        try:
            read_keras(path)
        except UsageError:
            refused += 1
    assert refused > 10
