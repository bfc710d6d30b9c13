from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slim_train.errors import UsageError
from slim_train.interchange.keras_archive import read_keras
from slim_train.interchange.keras_layers import keras_layers
from slim_train.interchange.layer_graph import LayerGraph
from slim_train.tf_compat import keras_3


def layers_of(outputs: Any, images: Any, folder: Path) -> LayerGraph:
    keras_3().Model(images, outputs).save(folder / "model.keras")
    return keras_layers(read_keras(folder / "model.keras"), 12)


def test_shapes_are_those_that_keras_computes_and_the_size_is_the_default_one_if_any_is_taken(tmp_path: Path) -> None:
    layers = keras_3().layers
    images = keras_3().Input((None, None, 3))
    net = layers.ZeroPadding2D(((0, 1), (2, 3)), name="pad")(images)
    net = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv")(net)
    net = layers.SeparableConv2D(6, 5, strides=2, padding="same", use_bias=False, name="separable")(net)
    net = layers.MaxPooling2D(2, name="pool")(net)
    graph = layers_of(layers.GlobalAveragePooling2D(name="mean")(net), images, tmp_path)
    shapes = {layer.name: (layer.kind, layer.shape) for layer in graph.layers.values() if layer is not graph.input}
    assert shapes == {
        "pad": ("ZeroPadding2D", (13, 17, 3)),
        "conv": ("Conv2D", (6, 8, 4)),
        "conv.activation": ("Activation", (6, 8, 4)),
        "separable.depthwise": ("DepthwiseConv2D", (3, 4, 4)),
        "separable": ("Conv2D", (3, 4, 6)),
        "pool": ("MaxPooling2D", (1, 2, 6)),
        "mean": ("GlobalAveragePooling2D", (6,)),
    }
    assert graph.input.shape == (12, 12, 3)
    assert set(graph.layers["conv"].weights) == {"kernel", "bias"}
    assert graph.layers["separable"].weights["kernel"].shape == (1, 1, 4, 6)


def test_arithmetic_with_numbers_is_scaling(tmp_path: Path) -> None:
    images = keras_3().Input((4, 4, 3))
    graph = layers_of((images + 3.0) * 0.5, images, tmp_path)
    configs = [layer.config for layer in graph.layers.values() if layer.kind == "Rescaling"]
    assert configs == [{"offset": 3.0}, {"scale": 0.5}]


def test_a_layer_that_no_net_has_or_that_is_used_twice_is_named(tmp_path: Path) -> None:
    layers = keras_3().layers
    images = keras_3().Input((4, 4, 3))
    with pytest.raises(UsageError, match="its layer up is a UpSampling2D"):
        layers_of(layers.UpSampling2D(name="up")(images), images, tmp_path)
    shared = layers.Conv2D(3, 1, name="shared")
    with pytest.raises(UsageError, match="its layer shared is used more than once"):
        layers_of(shared(shared(images)), images, tmp_path)
