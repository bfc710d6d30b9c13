from __future__ import annotations

from typing import Any

import numpy as np

from slim_train.interchange.keras_model import build_model
from slim_train.interchange.read_layers import read_layers
from slim_train.tf_compat import inference_mode, slim, tf


def small_net(images: Any) -> Any:
    """One of each that the nets of the zoo have, and what only nets of users do."""
    net = (images - np.float32([1.0, 2.0, 3.0])) / 2.0
    net = slim.conv2d(net, 4, 3, stride=2, normalizer_fn=slim.batch_norm, scope="stem")
    net = tf.nn.local_response_normalization(net, depth_radius=2, bias=1.5, alpha=0.1, beta=0.75)
    left = slim.separable_conv2d(net, 6, 5, depth_multiplier=2, activation_fn=tf.nn.leaky_relu, scope="net/separable")
    right = slim.conv2d(tf.pad(net, [[0, 0], [1, 0], [0, 1], [0, 0]]), 6, 2, padding="VALID", scope="net/valid")
    net = slim.avg_pool2d(left - right * (tf.nn.relu6(left + 3.0) / 6.0), 3, stride=1, padding="SAME")
    net = tf.concat([net, slim.max_pool2d(left, 3, stride=1, padding="SAME")], axis=3)[:, 1:, 1:, :]
    # The same weights twice.
    for reuse in (False, True):
        net = slim.conv2d(net, 12, 1, activation_fn=tf.nn.elu, scope="net/shared", reuse=reuse)
    net = slim.flatten(net * tf.reduce_mean(net, [1, 2], keepdims=True))
    return tf.nn.softmax(slim.fully_connected(net, 5, activation_fn=None, scope="logits"))


def test_a_model_answers_as_the_net_and_its_layers_are_named_after_the_variables() -> None:
    pixels = np.random.default_rng(0).uniform(0, 8, (3, 12, 10, 3)).astype(np.float32)
    with tf.Graph().as_default() as graph, inference_mode(), tf.Session(graph=graph) as session:
        tf.set_random_seed(0)
        images = tf.placeholder(tf.float32, [None, 12, 10, 3])
        scores = small_net(images)
        session.run(tf.global_variables_initializer())
        expected = session.run(scores, {images: pixels})
        layers = read_layers(images, scores)
        values = session.run({name: f"{name}/Read/ReadVariableOp:0" for name in layers.variables()})
        wanted = {variable.op.name for variable in slim.get_model_variables()}
    model = build_model("a net/of mine", layers, values)
    assert (model.name, model.inputs[0].name) == ("a_net_of_mine", "pixels")
    assert set(values) == wanted
    np.testing.assert_allclose(model(pixels).numpy(), expected, atol=1e-6)
    names = {layer.name for layer in model.layers}
    assert {"stem", "stem.BatchNorm", "net.separable>pointwise_weights>biases", "net.shared", "logits"} <= names
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
