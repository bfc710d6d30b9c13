"""Nets of a few layers, read from their graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.interchange.layer_graph import Layer, LayerGraph
from slim_train.interchange.read_layers import read_layers
from slim_train.tf_compat import dropouts_noted, inference_mode, slim, tf

Net = Callable[[Any], Any]


def read(net: Net, shape: tuple[int, ...] = (8, 8, 3)) -> LayerGraph:
    with tf.Graph().as_default(), inference_mode(), dropouts_noted() as rates:
        images = tf.placeholder(tf.float32, [None, *shape], name="pixels")
        return read_layers(images, net(images), rates)


def kinds(graph: LayerGraph) -> list[str]:
    return [layer.kind for layer in graph.layers.values()]


def last(graph: LayerGraph) -> Layer:
    return graph.layers[graph.output]


def test_a_convolution_its_bias_and_its_activation_are_two_layers_with_the_names_of_its_variables() -> None:
    graph = read(lambda images: slim.conv2d(images, 4, [3, 5], stride=2, scope="conv"))
    assert kinds(graph) == ["InputLayer", "Conv2D", "ReLU"]
    convolution = graph.layers[last(graph).inputs[0]]
    assert convolution.weights == {"kernel": "conv/weights", "bias": "conv/biases"}
    assert convolution.config == {
        "kernel_size": (3, 5),
        "strides": (2, 2),
        "dilation_rate": (1, 1),
        "padding": "same",
        "filters": 4,
        "groups": 1,
    }
    assert convolution.shape == (4, 4, 4)
    assert graph.variables() == ("conv/weights", "conv/biases")


def test_batch_norm_stays_a_layer_with_its_epsilon_and_without_the_scale_that_it_does_not_have() -> None:
    batch_norm = last(read(lambda images: slim.batch_norm(images, epsilon=0.002, scope="bn")))
    assert batch_norm.kind == "BatchNormalization"
    assert batch_norm.config == {"epsilon": 0.002}
    assert batch_norm.weights == {
        "beta": "bn/beta",
        "moving_mean": "bn/moving_mean",
        "moving_variance": "bn/moving_variance",
    }


def test_dropout_is_a_layer_with_its_rate() -> None:
    dropout = last(read(lambda images: slim.dropout(images, 0.75)))
    assert (dropout.kind, dropout.config) == ("Dropout", {"rate": 0.25})


def test_scaling_and_offset_are_one_layer() -> None:
    scaled = last(read(lambda images: (images - 128.0) / 64.0 + 1.0))
    assert (scaled.inputs, scaled.config) == (("pixels",), {"scale": 1 / 64, "offset": -1.0})


def test_a_hard_swish_is_a_hard_sigmoid_and_a_product() -> None:
    graph = read(lambda images: images * (tf.nn.relu6(images + 3.0) / 6.0))
    assert kinds(graph) == ["InputLayer", "Activation", "Multiply"]
    assert graph.layers[last(graph).inputs[1]].config == {"activation": "hard_sigmoid"}


def test_standardization_by_image_is_one_layer() -> None:
    graph = read(lambda images: tf.nn.relu(_standardized(images)))
    assert kinds(graph) == ["InputLayer", "LayerNormalization", "ReLU"]


def _standardized(images: Any) -> Any:
    mean, variance = tf.nn.moments(images, axes=[1, 2, 3], keepdims=True)
    return (images - mean) / tf.maximum(tf.sqrt(variance), 0.01)


def test_borders_are_cut_off_as_the_slice_says() -> None:
    cropping = last(read(lambda images: images[:, 1:, :-2, :]))
    assert (cropping.config, cropping.shape) == ({"cropping": ((1, 0), (0, 2))}, (7, 6, 3))


def test_padding_inside_a_convolution_is_a_layer_before_it() -> None:
    kernel = np.ones((3, 3, 3, 2), np.float32)
    pads = [[0, 0], [0, 1], [2, 1], [0, 0]]
    graph = read(lambda images: tf.nn.conv2d(images, kernel, strides=1, padding=pads))
    assert kinds(graph) == ["InputLayer", "ZeroPadding2D", "Conv2D"]
    assert graph.layers[last(graph).inputs[0]].config == {"padding": ((0, 1), (2, 1))}
    assert last(graph).shape == (7, 9, 2)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda images: tf.cumsum(images), r"operation Cumsum \(Cumsum\) has no layer in Keras"),
        (lambda images: tf.reduce_mean(images, [3]), r"Mean \(Mean\) takes the mean over the axes \[3\]"),
        (lambda images: images[:, ::2], "slices other than the borders"),
        (lambda images: tf.pad(images, [[0, 0], [0, 0], [0, 0], [0, 1]]), "pads other than height and width"),
        (lambda images: tf.nn.bias_add(images, np.ones(3, np.float32)), "adds a bias to what is not the result"),
        (lambda images: images * np.ones((8, 8, 3), np.float32), r"is a constant \[8, 8, 3\]"),
        (lambda images: tf.constant([1.0], name="one"), "one:0 does not depend on the images"),
    ],
)
def test_an_operation_without_a_layer_is_named(net: Net, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(net)
