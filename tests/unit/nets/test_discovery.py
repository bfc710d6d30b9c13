"""Facts of nets found by building them, compared with those that the zoo states."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.nets import factory
from slim_train.nets.discovery import FEATURES, complete_record, feature_width, smallest_image
from slim_train.nets.network_fn import network_fn_of
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import legacy_layer, slim, tf


def _undocumented(name: str) -> NetRecord:
    """A net of the zoo as a user would have it: nothing said of its head and features, images as small as can be."""
    record = factory.get_record(name)
    size = max(64, record.min_image_size)
    return dataclasses.replace(
        record, head_scopes=(), feature_end_point="", feature_width=0, default_image_size=size, min_image_size=1
    )


@pytest.mark.parametrize(
    "name",
    [
        "alexnet_v2",
        "lenet",
        "mobilenet_v1_025",
        "vgg_a",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("inception_v3", "mobilenet_v3_small", "resnet_v2_50")
        ),
    ],
)
def test_what_is_found_is_what_the_zoo_states(name: str) -> None:
    record, found = factory.get_record(name), complete_record(_undocumented(name))
    assert set(found.head_scopes) == set(record.head_scopes)
    assert found.feature_width == record.feature_width


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet", "mobilenet_v1_025", "vgg_a"])
def test_features_in_training_are_taken_before_dropout(name: str) -> None:
    record = complete_record(_undocumented(name))
    stated = factory.get_record(name).feature_end_point
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.random.stateless_uniform([2, record.default_image_size, record.default_image_size, 3], [1, 2])
        _, end_points = network_fn_of(record, 5, is_training=True)(images[..., : record.channels])
        session.run(tf.global_variables_initializer())
        found, before = session.run([end_points[FEATURES], end_points["fc3" if name == "lenet" else stated]])
    np.testing.assert_array_equal(found.ravel(), before.ravel())


def _two_layers(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
    """A net without slim: its variables are in no collection of slim's."""
    net = legacy_layer("conv2d")(images, 4, 5, strides=4, name="conv", activation=tf.nn.relu)
    return legacy_layer("dense")(slim.flatten(net), num_classes, name="dense"), {}


def test_variables_of_other_layers_are_model_variables() -> None:
    record = complete_record(NetRecord("mine", _two_layers, default_image_size=32))
    assert record.head_scopes == ("dense",)
    assert record.feature_width == 7 * 7 * 4
    with tf.Graph().as_default():
        network_fn_of(record, 5)(tf.zeros([1, 32, 32, 3]))
        assert len(slim.get_model_variables()) == 4


def test_no_classes_give_features_and_no_head() -> None:
    record = complete_record(NetRecord("mine", _two_layers, default_image_size=32))
    with tf.Graph().as_default():
        features, _ = network_fn_of(record, None)(tf.zeros([3, 32, 32, 3]))
        assert features.shape.as_list() == [3, 196]
        assert {v.op.name for v in tf.global_variables()} == {"conv/kernel", "conv/bias"}
        assert {v.op.name for v in slim.get_model_variables()} == {"conv/kernel", "conv/bias"}


def test_a_head_on_two_features_has_none_to_cache() -> None:
    def net(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
        one, other = (slim.flatten(slim.conv2d(images, 2, [3, 3], stride=4, scope=scope)) for scope in "ab")
        logits = [slim.fully_connected(part, num_classes, scope=f"logits{i}") for i, part in enumerate((one, other))]
        return tf.add_n(logits), {}

    record = complete_record(NetRecord("mine", net, default_image_size=32))
    assert record.head_scopes == ("logits0", "logits1")
    with tf.Graph().as_default(), pytest.raises(UsageError, match="no features that its head alone is applied to"):
        network_fn_of(record, None)(tf.zeros([1, 32, 32, 3]))


def test_a_net_whose_variables_know_nothing_of_classes_is_refused() -> None:
    def net(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
        return tf.zeros([2, num_classes]), {}

    with pytest.raises(UsageError, match="mine has no variable whose shape depends on the number of classes"):
        complete_record(NetRecord("mine", net))


def test_an_auxiliary_head_in_training_alone_is_found() -> None:
    def net(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
        net = slim.conv2d(images, 4, [3, 3], stride=4, scope="conv")
        end_points = {}
        if slim.current_arg_scope()[slim.arg_scope_func_key(slim.dropout)]["is_training"]:
            end_points["AuxLogits"] = slim.fully_connected(slim.flatten(net), num_classes, scope="aux")
        return slim.fully_connected(tf.reduce_mean(net, [1, 2]), num_classes, scope="logits"), end_points

    record = complete_record(NetRecord("mine", net, default_image_size=32))
    assert record.head_scopes == ("aux", "logits")
    assert record.feature_width == 4


@pytest.mark.slow
def test_the_smallest_image_is_found() -> None:
    record = complete_record(_undocumented("alexnet_v2"))
    with tf.Graph().as_default(), pytest.raises((UsageError, ValueError)):
        network_fn_of(record, 2)(tf.zeros([1, smallest_image(record) - 1, smallest_image(record) - 1, 3]))
    with tf.Graph().as_default():
        network_fn_of(record, 2)(tf.zeros([1, smallest_image(record), smallest_image(record), 3]))


def test_a_record_is_completed_once() -> None:
    record = NetRecord("mine", _two_layers, default_image_size=32)
    assert complete_record(record) is complete_record(record)


def _head_then_pool(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
    """A net with a convolution as its head, averaged afterwards, as SqueezeNet is."""
    net = slim.conv2d(images, 4, [3, 3], stride=2, scope="conv")
    return tf.reduce_mean(slim.conv2d(net, num_classes, [1, 1], scope="logits"), [1, 2]), {}


def test_features_of_a_head_that_is_pooled_grow_with_the_image() -> None:
    record = complete_record(NetRecord("mine", _head_then_pool, default_image_size=16))
    assert [feature_width(record, size) for size in (16, 8, 32)] == [8 * 8 * 4, 4 * 4 * 4, 16 * 16 * 4]


def _of_dimensions(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
    """A net that takes dimensions of shapes for the objects that they were in TensorFlow 1."""
    net = slim.conv2d(images, 2 * images.shape[3].value, [3, 3], stride=2, scope="conv")
    size = net.get_shape()[1].value * net.get_shape()[2].value * net.get_shape()[-1].value
    return slim.fully_connected(tf.reshape(net, [-1, size]), num_classes, scope="logits"), {}


def test_dimensions_of_shapes_are_those_of_version_1_if_the_net_asks_for_their_value() -> None:
    record = complete_record(NetRecord("mine", _of_dimensions, default_image_size=16))
    assert record.feature_width == 8 * 8 * 6
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, 16, 16, 3])
        logits, _ = network_fn_of(record, 5)(images)
        assert logits.shape.as_list() == [None, 5]
        assert isinstance(images.shape[1], int)  # elsewhere they are numbers


def test_a_net_whose_variables_change_their_names_is_refused() -> None:
    numbers = itertools.count()

    def net(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
        return slim.fully_connected(slim.flatten(images), num_classes, scope=f"dense_{next(numbers)}"), {}

    with pytest.raises(UsageError, match="mine names its variables differently each time it is built, dense_0/biases"):
        complete_record(NetRecord("mine", net, default_image_size=8))


def test_names_of_variables_may_contain_the_number_of_classes() -> None:
    def net(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
        return slim.fully_connected(slim.flatten(images), num_classes, scope=f"dense_{num_classes}"), {}

    assert complete_record(NetRecord("mine", net, default_image_size=8)).feature_width == 192


@pytest.mark.parametrize(
    "makes", [tf.placeholder, lambda _, shape, name: tf.placeholder_with_default(1.0, shape, name)]
)
def test_a_net_with_a_placeholder_that_nobody_feeds_is_refused(makes: Any) -> None:
    def net(images: Any, num_classes: int) -> tuple[Any, dict[str, Any]]:
        kept = slim.flatten(images) * makes(tf.float32, [], name="keep_prob")
        return slim.fully_connected(kept, num_classes, scope="logits"), {}

    record = NetRecord("mine", net, default_image_size=8)
    if makes is tf.placeholder:
        with pytest.raises(UsageError, match="mine needs values for placeholders of its own, keep_prob among them"):
            complete_record(record)
    else:
        assert complete_record(record).head_scopes == ("logits",)
