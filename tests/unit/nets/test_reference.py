"""Every net against the facts and numbers measured on the released definitions."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train.nets import factory
from slim_train.tf_compat import slim, tf

# These two are compared everywhere; the others where the full reference is at hand.
_EXCERPT = json.loads((Path(__file__).parent / "reference_small.json").read_text())
_QUICK = {"lenet", "cifarnet", "mobilenet_v1_025"}
_TOLERANCE = 1e-3
_WEIGHT_DECAY = 4e-5

# Of ours: there is no other definition of it.
_WITHOUT_REFERENCE = {"face_vgg"}

each_net = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in _QUICK else pytest.mark.slow)
        for name in factory.net_names()
        if name not in _WITHOUT_REFERENCE
    ],
)


@pytest.fixture
def reference(name: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    return _EXCERPT[name] if name in _EXCERPT else request.getfixturevalue("reference_nets")[name]


@each_net
def test_the_inference_graph_has_the_variables_and_end_points_of_the_reference(name: str, reference: dict) -> None:
    with tf.Graph().as_default():
        _, end_points = _build(name, reference)
        trainable = {variable.op.name for variable in tf.trainable_variables()}
        variables = {
            variable.op.name: {"shape": variable.shape.as_list(), "trainable": variable.op.name in trainable}
            for variable in tf.global_variables()
        }
        model_variables = slim.get_model_variables()
    assert variables == reference["variables"]
    assert len(model_variables) == reference["n_model_variables"]
    shapes = [(key, tensor.shape.as_list()) for key, tensor in end_points.items()]
    assert shapes == list(reference["end_points"].items())


@each_net
def test_logits_and_end_points_have_the_numbers_of_the_reference(name: str, reference: dict) -> None:
    expected = reference["ref"]
    with tf.Graph().as_default(), tf.Session() as session:
        logits, end_points = _build(name, reference)
        _set_variables(session)
        logits_value, values = session.run([logits, end_points], {"images:0": _images(reference)})
    scale = np.abs(expected["logits"]).max()
    np.testing.assert_allclose(logits_value[:, :12].ravel(), expected["logits"], rtol=0, atol=_TOLERANCE * scale)
    np.testing.assert_allclose(np.linalg.norm(logits_value), expected["norm"], rtol=_TOLERANCE)
    norms = {key: np.linalg.norm(value.astype(np.float64)) for key, value in values.items()}
    assert norms == pytest.approx(expected["end_point_norms"], rel=_TOLERANCE)


@each_net
def test_the_training_graph_has_the_losses_and_updates_of_the_reference(name: str, reference: dict) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        logits, end_points = _build(name, reference, weight_decay=_WEIGHT_DECAY, is_training=True)
        found = {
            "regularization_losses": len(tf.losses.get_regularization_losses()),
            "update_ops": len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)),
            "logits_shape": logits.shape.as_list(),
            "aux_logits": end_points["AuxLogits"].shape.as_list() if "AuxLogits" in end_points else False,
            "variables_only_in_training": {
                variable.op.name: variable.shape.as_list()
                for variable in tf.global_variables()
                if variable.op.name not in reference["variables"]
            },
        }
        _set_variables(session)
        regularization = session.run(tf.losses.get_regularization_loss())
    expected = dict(reference["training"])
    expected_loss = expected.pop("regularization_loss_at_weight_decay_4e-5")
    assert found == expected
    assert regularization == pytest.approx(expected_loss, rel=_TOLERANCE)


@each_net
def test_without_classes_the_output_has_the_shape_of_the_reference(name: str, reference: dict) -> None:
    with tf.Graph().as_default():
        features, _ = _build(name, {**reference, "num_classes": 0})
    assert features.shape.as_list() == reference["features_shape_when_num_classes_is_0"]


def _build(name: str, reference: dict[str, Any], **arguments: Any) -> tuple[Any, dict[str, Any]]:
    size = reference["image_size"]
    images = tf.placeholder(tf.float32, [2, size, size, reference["channels"]], name="images")
    return factory.get_network_fn(name, reference["num_classes"], **arguments)(images)


def _images(reference: dict[str, Any]) -> np.ndarray:
    size = reference["image_size"]
    return np.random.RandomState(7).uniform(-1, 1, (2, size, size, reference["channels"])).astype("float32")


def _set_variables(session: Any) -> None:
    variables = [variable for variable in tf.global_variables() if variable.dtype.base_dtype == tf.float32]
    initial_values = {
        variable.initializer.inputs[1]: _weights(variable.op.name, variable.shape.as_list()) for variable in variables
    }
    session.run([variable.initializer for variable in variables], initial_values)


def _weights(name: str, shape: list[int]) -> np.ndarray:
    """The weights that the reference was measured with, a function of the variable's name and shape."""
    random = np.random.RandomState(zlib.crc32(name.encode()) % 2**32)
    kind = name.rpartition("/")[2]
    if "weights" in kind or "kernel" in kind:
        fan_in = np.prod(shape[:2] if "depthwise" in kind else shape[:-1])
        values = random.randn(*shape) * np.sqrt(1 / fan_in)
    elif kind == "moving_variance":
        values = 0.5 + random.rand(*shape)
    elif kind == "gamma":
        values = 0.8 + 0.4 * random.rand(*shape)
    else:
        values = 0.1 * random.randn(*shape)
    return values.astype("float32")
