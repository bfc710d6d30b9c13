from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.nets import factory
from slim_train.tf_compat import slim, tf

_DROPS_OUT = "mobilenet_v2_035"


def test_an_unknown_net_is_refused_with_the_nearest_names_and_the_command_that_lists_all() -> None:
    count = len(factory.net_names())
    with pytest.raises(
        UsageError, match=rf"'resnet_50'\. Did you mean resnet_v\d_50 or .*\? slim_models lists all {count}\.$"
    ):
        factory.get_network_fn("resnet_50", 10)


def test_an_unknown_net_that_is_near_to_none_is_refused_with_all_names() -> None:
    with pytest.raises(UsageError, match=r"'transformer'\. Valid: alexnet_v2, .*, vgg_a\.$"):
        factory.get_network_fn("transformer", 10)


def test_the_network_function_tells_its_default_image_size() -> None:
    assert factory.get_network_fn("inception_v3", 1001).default_image_size == 299


def test_arguments_of_the_call_reach_the_net() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        fc3, dropped = _lenet_hidden_layer(dropout_keep_prob=0.5)
        _, kept = _lenet_hidden_layer(dropout_keep_prob=1.0)
        session.run(tf.global_variables_initializer())
        fc3, dropped, kept = session.run([fc3, dropped, kept])
    assert not np.array_equal(dropped, fc3)
    np.testing.assert_array_equal(kept, fc3)


@pytest.mark.slow
def test_frozen_batch_norm_leaves_dropout_on() -> None:
    assert _outputs_vary(is_training=True, freeze_batch_norm=True)


def test_inference_drops_nothing_out() -> None:
    assert not _outputs_vary(is_training=False)


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1_025",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("inception_v1", "resnet_v1_50", "resnet_v2_50", _DROPS_OUT)
        ),
    ],
)
def test_batch_norm_decay_is_that_of_every_moving_average(name: str) -> None:
    decay = 0.25
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(np.random.RandomState(0).uniform(-1, 1, (4, 48, 48, 3)).astype("float32"))
        factory.get_network_fn(name, 3, is_training=True, batch_norm_decay=decay)(images)
        means = [variable for variable in tf.global_variables() if variable.op.name.endswith("moving_mean")]
        session.run(tf.global_variables_initializer())
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        once = np.concatenate(session.run(means))
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        twice = np.concatenate(session.run(means))
    # A moving average of the same value m goes from 0 to (1 - d) m and then to (1 - d * d) m.
    np.testing.assert_allclose(twice, once * (1 + decay), rtol=1e-3, atol=1e-5)
    assert np.abs(once).max() > 0.01


def test_arg_scopes_of_the_caller_hold_inside_the_net() -> None:
    with tf.Graph().as_default(), slim.arg_scope([slim.model_variable], device="/job:ps"):
        factory.get_network_fn("mobilenet_v1_025", 10)(tf.zeros([1, 32, 32, 3]))
        assert {variable.device for variable in tf.global_variables()} == {"/job:ps"}


@pytest.mark.slow
def test_a_second_copy_shares_its_variables_when_the_caller_says_so() -> None:
    with tf.Graph().as_default():
        network_fn = factory.get_network_fn("resnet_v1_50", 10, is_training=True)
        end_points = []
        for clone in range(2):
            with tf.name_scope(f"clone_{clone}"), tf.variable_scope(tf.get_variable_scope(), reuse=clone > 0):
                end_points.append(network_fn(tf.zeros([2, 32, 32, 3]))[1])
        assert len(tf.global_variables()) == len({variable.op.name for variable in tf.global_variables()}) == 267
        assert list(end_points[0]) == list(end_points[1])


def test_images_of_unknown_size_are_taken() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, None, None, 3])
        logits, _ = factory.get_network_fn("vgg_a", 3)(images)
        assert logits.shape.as_list() == [None, 3]
        session.run(tf.global_variables_initializer())
        assert session.run(logits, {images: np.zeros((1, 240, 256, 3))}).shape == (1, 3)


def test_other_numbers_of_channels_build() -> None:
    with tf.Graph().as_default():
        factory.get_network_fn("mobilenet_v1_025", 3)(tf.zeros([1, 32, 32, 1]))
        (first,) = [v for v in tf.global_variables() if v.op.name == "MobilenetV1/Conv2d_0/weights"]
        assert first.shape.as_list() == [3, 3, 1, 8]


def _lenet_hidden_layer(**arguments: Any) -> tuple[Any, Any]:
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        _, end_points = factory.get_network_fn("lenet", 10, is_training=True)(tf.ones([1, 28, 28, 1]), **arguments)
    return end_points["fc3"], end_points["dropout3"]


def _outputs_vary(**arguments: Any) -> bool:
    """Whether two runs of one graph on the same images differ."""
    with tf.Graph().as_default(), tf.Session() as session:
        logits, _ = factory.get_network_fn(_DROPS_OUT, 3, **arguments)(tf.ones([2, 32, 32, 3]))
        session.run(tf.global_variables_initializer())
        return not np.array_equal(session.run(logits), session.run(logits))
