"""Pairs of nets that compute the same, or seem to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train.interchange.keras_archive import read_keras
from slim_train.interchange.keras_layers import keras_layers
from slim_train.interchange.match_layers import LayerMatch, match_layers, matched_values
from slim_train.interchange.plain_layers import plain_layers, without_scaling
from slim_train.interchange.read_layers import read_layers
from slim_train.nets.blocks.inverted_residual import hard_swish
from slim_train.tf_compat import inference_mode, keras_3, slim, tf

SIZE = 8
Net = Callable[[Any], Any]


def compare(ours: Net, theirs: Net, folder: Path) -> LayerMatch:
    """Compare a net of slim with one of Keras. If they are the same, they must answer so."""
    keras = keras_3()
    keras.utils.set_random_seed(0)
    images = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(images, theirs(images))
    model.save(folder / "model.keras")
    batch = np.random.default_rng(0).normal(size=(2, SIZE, SIZE, 3)).astype(np.float32)
    expected = np.reshape(model(batch), -1)
    stored, _ = without_scaling(keras_layers(read_keras(folder / "model.keras"), SIZE))
    with tf.Graph().as_default() as graph, inference_mode(), tf.Session(graph=graph) as session:
        pixels = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3])
        output = ours(pixels)
        match = match_layers(plain_layers(read_layers(pixels, output)), plain_layers(stored))
        if not match.difference:
            variables = {variable.op.name: variable for variable in slim.get_model_variables()}
            shapes = {name: tuple(variable.shape.as_list()) for name, variable in variables.items()}
            values = matched_values(match, shapes)
            assert set(values) == set(variables)
            for name, variable in variables.items():
                variable.load(values[name], session)
            np.testing.assert_allclose(np.reshape(session.run(output, {pixels: batch}), -1), expected, atol=1e-5)
    return match


def conv(images: Any, **arguments: Any) -> Any:
    return slim.conv2d(images, 4, 3, **arguments)


def padded(images: Any, pads: Any, **arguments: Any) -> Any:
    layers = keras_3().layers
    return layers.ReLU()(layers.Conv2D(4, 3, **arguments)(layers.ZeroPadding2D(pads)(images)))


def test_padding_before_a_convolution_is_padding_inside_it_if_it_is_the_same(tmp_path: Path) -> None:
    ours = lambda images: conv(images, stride=2)  # noqa: E731
    assert not compare(ours, lambda images: padded(images, ((0, 1), (0, 1)), strides=2), tmp_path).difference
    match = compare(ours, lambda images: padded(images, 1, strides=2), tmp_path)
    assert "pads ((1, 0), (1, 0)) and ((0, 1), (0, 1))" in match.difference
    assert match.pairs == ()


def test_a_dense_layer_is_a_convolution_over_the_map(tmp_path: Path) -> None:
    def ours(images: Any) -> Any:
        net = slim.conv2d(images, 5, SIZE, padding="VALID", scope="fc6")
        net = slim.conv2d(slim.dropout(net), 3, 1, activation_fn=None, scope="fc7")
        return tf.squeeze(tf.reduce_mean(net, [1, 2], keepdims=True), [1, 2])

    def theirs(images: Any) -> Any:
        layers = keras_3().layers
        net = layers.Dense(5, activation="relu")(layers.Flatten()(images))
        return layers.Dense(3)(layers.Dropout(0.5)(net))

    assert not compare(ours, theirs, tmp_path).difference


def test_a_sum_may_be_in_any_order_and_batch_norm_without_scale_scales_by_one(tmp_path: Path) -> None:
    def ours(images: Any) -> Any:
        net = conv(images, scope="a", normalizer_fn=slim.batch_norm, activation_fn=hard_swish)
        side = slim.batch_norm(conv(net, scope="b", activation_fn=None), scale=True, epsilon=0.001, scope="bn")
        return conv(side + net, scope="c")

    def theirs(images: Any) -> Any:
        layers = keras_3().layers
        net = layers.Conv2D(4, 3, padding="same", use_bias=False)(images)
        net = layers.Activation("hard_swish")(layers.BatchNormalization(scale=False)(net))
        side = layers.BatchNormalization(scale=False)(layers.Conv2D(4, 3, padding="same")(net))
        return layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Add()([net, side]))

    assert not compare(ours, theirs, tmp_path).difference


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        (
            lambda images: slim.batch_norm(images, epsilon=0.001, scope="bn"),
            lambda images: keras_3().layers.BatchNormalization(epsilon=0.002, name="bn", scale=False)(images),
            "bn of the file and bn/FusedBatchNormV3 of the net differ: epsilon 0.002 and 0.001",
        ),
        (
            lambda images: slim.max_pool2d(images, 3, stride=1, padding="SAME"),
            lambda images: keras_3().layers.MaxPooling2D(3, 1)(keras_3().layers.ZeroPadding2D(1)(images)),
            "zeros count True and False",
        ),
        (
            lambda images: conv(conv(images, stride=2, scope="a"), scope="b"),
            lambda images: keras_3().layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(
                keras_3().layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(images)
            ),
            "first of the file and a/BiasAdd of the net differ: strides (1, 1) and (2, 2); pads ((1, 1), (1, 1)) and",
        ),
        (
            lambda images: tf.nn.relu6(images),
            lambda images: keras_3().layers.ReLU()(images),
            "max_value 0.0 and 6.0",
        ),
        (
            lambda images: tf.nn.relu(images),
            lambda images: keras_3().layers.MaxPooling2D(1)(images),
            "differ in kind: MaxPooling2D and ReLU",
        ),
    ],
)
def test_the_first_difference_is_told(ours: Net, theirs: Net, difference: str, tmp_path: Path) -> None:
    assert difference in compare(ours, theirs, tmp_path).difference


def test_scaling_of_the_images_is_taken_away(tmp_path: Path) -> None:
    images = keras_3().Input((SIZE, SIZE, 3))
    net = keras_3().layers.ReLU()(keras_3().layers.Rescaling(1 / 127.5, -1.0)(images))
    keras_3().Model(images, net).save(tmp_path / "model.keras")
    graph, scaling = without_scaling(keras_layers(read_keras(tmp_path / "model.keras"), SIZE))
    assert scaling == (0.007843, -1.0)
    assert [layer.kind for layer in graph.layers.values()] == ["InputLayer", "ReLU"]
    assert without_scaling(graph) == (graph, None)
