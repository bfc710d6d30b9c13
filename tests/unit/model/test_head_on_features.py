"""Heads of whole nets on features that are given."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.model.head_on_features import build_head_on_features
from slim_train.model.spec import ModelSpec
from slim_train.nets import factory as nets
from slim_train.preprocessing.factory import get_recipe
from slim_train.tf_compat import slim, tf

NUM_CLASSES = 5
# One of each way to end a net; the others are slow to build.
_BY_DEFAULT = ("cifarnet", "lenet", "mobilenet_v3_small")
_WITH_AUXILIARY_HEAD = ("inception_v3", "inception_v4", "inception_resnet_v2")


def model_of(name: str) -> ModelSpec:
    record = nets.get_record(name)
    return ModelSpec(
        record, NUM_CLASSES, 0, max(64, record.min_image_size), record.channels, get_recipe(record.preprocessing)
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in _BY_DEFAULT else pytest.mark.slow)
        for name in nets.net_names()
        if name not in _WITH_AUXILIARY_HEAD
    ],
)
def test_the_features_of_images_give_the_logits_of_these_images(name: str) -> None:
    model, record = model_of(name), nets.get_record(name)
    shape = [2, model.image_size, model.image_size, model.channels]
    with tf.Graph().as_default(), tf.Session() as session:
        network_fn = nets.get_network_fn(name, NUM_CLASSES)
        logits, end_points = network_fn(tf.random.stateless_normal(shape, [0, 0]))
        features = tf.reshape(end_points[record.feature_end_point], [2, record.feature_width])
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            given_logits, given_end_points = build_head_on_features(network_fn, model, features)
        session.run(tf.global_variables_initializer())
        expected, computed, _ = session.run((logits, given_logits, given_end_points))
        assert np.ptp(expected) > 0
        np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-6)


def test_all_variables_and_regularization_losses_are_there_and_dropout_drops() -> None:
    model = model_of("mobilenet_v1_025")

    def build(on_features: bool) -> tuple[list[str], int]:
        with tf.Graph().as_default(), tf.Session() as session:
            network_fn = nets.get_network_fn(model.name, NUM_CLASSES, 1e-4, is_training=True, freeze_batch_norm=True)
            if on_features:
                logits, end_points = build_head_on_features(network_fn, model, tf.ones([2, 256]))
                session.run(tf.global_variables_initializer())
                dropped = [session.run(logits) for _ in range(50)]
                assert not all(np.array_equal(dropped[0], values) for values in dropped)
                assert not any(name.startswith("Conv2d_") for name in end_points), "end points of the trunk"
                assert {"AvgPool_1a", "Logits"} <= end_points.keys()
            else:
                network_fn(tf.ones([2, 64, 64, 3]))
            return [variable.op.name for variable in slim.get_model_variables()], len(
                tf.losses.get_regularization_losses()
            )

    assert build(on_features=True) == build(on_features=False)


@pytest.mark.parametrize("name", [*_WITH_AUXILIARY_HEAD, "nasnet_mobile"])
@pytest.mark.slow
def test_a_net_with_an_auxiliary_head_is_refused(name: str) -> None:
    with tf.Graph().as_default(), pytest.raises(UsageError, match=f"{name} also trains an auxiliary head"):
        network_fn = nets.get_network_fn(name, NUM_CLASSES, is_training=True, freeze_batch_norm=True)
        build_head_on_features(network_fn, model_of(name), tf.ones([2, nets.get_record(name).feature_width]))
