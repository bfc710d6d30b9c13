"""Models of keras.applications with made weights: no trained ones can be downloaded by a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train.errors import UsageError
from slim_train.inference.trained_model import find_trained_model
from slim_train.interchange.keras_applications import convert_application, is_application
from slim_train.interchange.keras_archive import StoredModel, read_keras
from slim_train.tf_compat import keras_3, tf

# The net, the function that makes the model and its arguments, the module of preprocess_input.
TAKEN: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("mobilenet_v1_025", "MobileNet", {"alpha": 0.25}, "mobilenet"),
    ("mobilenet_v1", "MobileNet", {}, "mobilenet"),
    ("mobilenet_v2_035", "MobileNetV2", {"alpha": 0.35}, "mobilenet_v2"),
    ("mobilenet_v2", "MobileNetV2", {}, "mobilenet_v2"),
    ("mobilenet_v2_140", "MobileNetV2", {"alpha": 1.4}, "mobilenet_v2"),
    ("mobilenet_v3_small", "MobileNetV3Small", {}, "mobilenet_v3"),
    ("mobilenet_v3_large", "MobileNetV3Large", {}, "mobilenet_v3"),
    ("mobilenet_v3_large_minimalistic", "MobileNetV3Large", {"minimalistic": True}, "mobilenet_v3"),
    ("mobilenet_v3_small", "MobileNetV3Small", {"include_preprocessing": False}, "mobilenet_v2"),
    ("inception_v3", "InceptionV3", {}, "inception_v3"),
    ("inception_resnet_v2", "InceptionResNetV2", {}, "inception_resnet_v2"),
    ("vgg_16", "VGG16", {}, "vgg16"),
    ("vgg_19", "VGG19", {}, "vgg19"),
)
REFUSED = (
    ("ResNet50", r"resnet50 of Keras, whose layers are not those of resnet_v1_50: conv1_conv .* weights \['bias"),
    ("ResNet50V2", "pool1_pool of the file .* differ: pads .*; zeros count True and False"),
    ("NASNetMobile", "zeros count True and False"),
)


def model_and_scores(make: str, arguments: dict[str, Any], module: str, pixels: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return a model with statistics of batch norm that the images have, and its answers."""
    keras = keras_3()
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, make)(weights=None, **arguments)
    batch = getattr(keras.applications, module).preprocess_input(pixels.copy())
    random = np.random.default_rng(0)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    model(batch, training=True)
    for layer in norms:
        layer.beta.assign(random.normal(0, 0.2, layer.beta.shape))
        if layer.gamma is not None:
            layer.gamma.assign(random.uniform(0.7, 1.3, layer.gamma.shape))
    return model, model(batch, training=False).numpy()


def our_scores(path: Path, pixels: np.ndarray) -> tuple[str, np.ndarray]:
    trained = find_trained_model(path)
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        images, scores = trained.build()
        trained.restore(session)
        return trained.spec.name, session.run(scores, {images: pixels})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_weights_of_a_model_with_the_same_layers_answer_the_same_here(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    arguments = {"alpha": 0.25, "input_shape": (32, 32, 3), "classes": 5}
    model, expected = model_and_scores("MobileNet", arguments, "mobilenet", pixels)
    model.save(tmp_path / "model.keras")
    name, scores = our_scores(tmp_path / "model.keras", pixels)
    assert name == "mobilenet_v1_025"
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_a_model_that_pads_in_another_way_is_refused_with_what_differs(tmp_path: Path) -> None:
    # At this size maps have odd sides, where Keras pads after the map, and the net around it.
    keras_3().applications.MobileNet(weights=None, alpha=0.25, input_shape=(40, 40, 3)).save(tmp_path / "model.keras")
    message = (
        r"conv_dw_6 of the file and MobilenetV1/Conv2d_6_depthwise/\S+ of the net differ: pads .*; output \(2, 2, 64\)"
    )
    with pytest.raises(UsageError, match=message):
        convert_application(tmp_path / "model.keras", read_keras(tmp_path / "model.keras"))


@pytest.mark.parametrize(
    ("name", "known"),
    [("mobilenetv2_1.40_96", True), ("mobilenetv2_1.30_96", False), ("resnet50v2", True), ("my_model", False)],
)
def test_a_model_is_known_by_its_name(name: str, known: bool) -> None:
    assert is_application(StoredModel(name, ())) == known


def photographs(folder: Path, size: int) -> np.ndarray:
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".bmp", ".jpg"))
    return np.stack([np.asarray(Image.open(path).convert("RGB").resize((size, size)), np.float32) for path in paths])


@pytest.mark.slow
@pytest.mark.parametrize(("net", "make", "arguments", "module"), TAKEN)
def test_every_pair_answers_the_same_on_photographs(
    net: str, make: str, arguments: dict[str, Any], module: str, shared_data: Path, tmp_path: Path, record_property: Any
) -> None:
    pixels = photographs(shared_data / "images", 299 if "inception" in net else 224)
    model, expected = model_and_scores(make, arguments, module, pixels)
    model.save(tmp_path / "model.keras")
    name, scores = our_scores(tmp_path / "model.keras", pixels)
    assert name == net
    largest, spread = np.abs(scores - expected).max(), np.ptp(expected, axis=0).max()
    record_property("difference", float(largest))
    assert largest < 1e-4 and largest < 1e-3 * spread


@pytest.mark.slow
@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_models_that_would_answer_otherwise_are_refused(make: str, message: str, tmp_path: Path) -> None:
    getattr(keras_3().applications, make)(weights=None).save(tmp_path / "model.keras")
    with pytest.raises(UsageError, match=message):
        convert_application(tmp_path / "model.keras", read_keras(tmp_path / "model.keras"))
