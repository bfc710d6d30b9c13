from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train.errors import UsageError
from slim_train.inference.grad_cam import heat_function, last_spatial
from slim_train.nets import factory
from slim_train.retraining.flip_averaging import average_flip
from slim_train.tf_compat import slim, tf

_SIZE, _PATCH = 48, 12
_BY_DEFAULT = {"lenet", "mobilenet_v3_small"}


def patches(count: int, seed: int) -> tuple[Any, Any, Any]:
    """Return images of noise with a striped patch whose direction is the class, the classes, and the places."""
    random = np.random.default_rng(seed)
    images = random.uniform(-0.3, 0.3, (count, _SIZE, _SIZE, 1)).astype(np.float32)
    labels = random.integers(0, 2, count)
    places = random.integers(0, _SIZE - _PATCH, (count, 2))
    stripes = np.where(np.arange(_PATCH) // 2 % 2, 1.0, -1.0)
    for image, label, (row, column) in zip(images, labels, places, strict=True):
        patch = np.tile(stripes, (_PATCH, 1))
        image[row : row + _PATCH, column : column + _PATCH, 0] += patch if label else patch.T
    return images, labels, places


@pytest.fixture(scope="module")
def patch_net() -> Iterator[tuple[Any, Any, Any]]:
    """A tiny net trained to say which way the stripes run: session, image and scores."""
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        tf.set_random_seed(1)
        image = tf.placeholder(tf.float32, [None, _SIZE, _SIZE, 1])
        labels = tf.placeholder(tf.int64, [None])
        net = slim.conv2d(image, 16, [5, 5], 2)
        net = slim.conv2d(net, 32, [3, 3], 2)
        net = tf.reduce_mean(slim.conv2d(net, 32, [3, 3]), [1, 2])
        logits = slim.fully_connected(net, 2, activation_fn=None)
        scores = tf.nn.softmax(logits)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
        step = tf.train.AdamOptimizer(0.003).minimize(loss)
        session.run(tf.global_variables_initializer())
        images, truth, _ = patches(1024, seed=0)
        for index in range(160):
            at = slice(index * 64 % 1024, index * 64 % 1024 + 64)
            session.run(step, {image: images[at], labels: truth[at]})
        yield session, image, scores


@pytest.mark.slow
def test_the_hottest_place_lies_on_the_patch_that_marks_the_class(patch_net: tuple[Any, Any, Any]) -> None:
    session, image, scores = patch_net
    images, labels, places = patches(200, seed=7)
    assert (session.run(scores, {image: images}).argmax(axis=1) == labels).mean() > 0.95
    heat = heat_function(session, image, scores, "patches")(images, labels)
    hits = 0
    for of_image, (row, column) in zip(heat, places, strict=True):
        drawn = np.asarray(Image.fromarray(of_image).resize((_SIZE, _SIZE), Image.Resampling.BILINEAR))
        hottest = np.unravel_index(drawn.argmax(), drawn.shape)
        hits += row <= hottest[0] < row + _PATCH and column <= hottest[1] < column + _PATCH
    assert hits >= 0.9 * len(images), hits


def test_the_heat_of_an_image_does_not_depend_on_the_others(patch_net: tuple[Any, Any, Any]) -> None:
    session, image, scores = patch_net
    images, labels, _ = patches(3, seed=9)
    heat = heat_function(session, image, scores, "patches")
    np.testing.assert_allclose(heat(images, labels)[1:2], heat(images[1:2], labels[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in _BY_DEFAULT else pytest.mark.slow) for name in factory.net_names()],
)
def test_every_net_has_a_last_feature_map_with_a_gradient(name: str) -> None:
    record = factory.get_record(name)
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        size = record.default_image_size
        channels = 1 if name == "lenet" else 3
        image = tf.placeholder(tf.float32, [None, size, size, channels])
        logits, _ = factory.get_network_fn(name, 7)(tf.identity(image))
        scores = tf.nn.softmax(logits)
        rows, columns, width = last_spatial(image, scores).shape.as_list()[1:]
        assert 1 < rows == columns < size / 3
        assert width > channels
        heat_function(session, image, scores, name)


def test_a_net_without_a_feature_map_is_refused() -> None:
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        image = tf.placeholder(tf.float32, [None, 8, 8, 3])
        scores = tf.nn.softmax(slim.fully_connected(slim.flatten(image / 255.0), 4, activation_fn=None))
        assert last_spatial(image, scores) is None
        with pytest.raises(UsageError, match="--explain: dense has no feature map with more than one place"):
            heat_function(session, image, scores, "dense")


@pytest.mark.slow
def test_a_graph_that_averages_mirror_images_has_one_heat_per_image(patch_net: tuple[Any, Any, Any]) -> None:
    session, image, scores = patch_net
    images, labels, _ = patches(3, seed=9)
    plain = heat_function(session, image, scores, "patches")
    expected = plain(images, labels) + plain(images[:, :, ::-1], labels)[:, :, ::-1]
    features = scores.op.inputs[0].op.name
    frozen = tf.graph_util.convert_variables_to_constants(session, session.graph.as_graph_def(), [features])
    averaged = average_flip(frozen, image.name, [features])
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as other:
        tf.import_graph_def(averaged, name="")
        of_both = tf.nn.softmax(graph.get_tensor_by_name(f"{features}:0"))
        heat = heat_function(other, graph.get_tensor_by_name(image.name), of_both, "both")(images, labels)
    np.testing.assert_allclose(heat, expected / 2, rtol=1e-3, atol=1e-5)


def test_a_graph_that_is_channels_first_has_the_same_heat(patch_net: tuple[Any, Any, Any]) -> None:
    session, image, scores = patch_net
    images, labels, _ = patches(3, seed=9)
    expected = heat_function(session, image, scores, "channels last")(images, labels)
    features = last_spatial(image, scores)
    with session.graph.as_default():
        turned = tf.nn.bias_add(tf.transpose(features, [0, 3, 1, 2]), tf.zeros([32]), data_format="NCHW")
        turned = tf.nn.relu(turned)
        weights, biases = tf.trainable_variables()[-2:]
        channels_first = tf.nn.softmax(tf.matmul(tf.reduce_mean(turned, [2, 3]), weights) + biases)
    assert last_spatial(image, channels_first) is turned
    heat = heat_function(session, image, channels_first, "channels first")(images, labels)
    np.testing.assert_allclose(heat, expected, rtol=1e-4, atol=1e-6)
