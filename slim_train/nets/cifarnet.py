"""CifarNet, TF-Slim's variant of the cuda-convnet model for 32x32 images."""

from __future__ import annotations

from typing import Any

from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf


def cifarnet(images: Any, num_classes: int, dropout_keep_prob: float = 0.5) -> tuple[Any, dict[str, Any]]:
    """Two convolutions and two hidden layers, the first of which fits one image size: 32 gives the released shapes."""
    end_points = {}
    with tf.variable_scope("CifarNet", values=[images]):
        net = end_points["conv1"] = slim.conv2d(images, 64, [5, 5], scope="conv1")
        net = end_points["pool1"] = slim.max_pool2d(net, [2, 2], stride=2, scope="pool1")
        net = _local_response_normalization(net, "norm1")
        net = end_points["conv2"] = slim.conv2d(net, 64, [5, 5], scope="conv2")
        net = _local_response_normalization(net, "norm2")
        net = end_points["pool2"] = slim.max_pool2d(net, [2, 2], stride=2, scope="pool2")
        net = end_points["Flatten"] = slim.flatten(net)
        net = end_points["fc3"] = slim.fully_connected(net, 384, scope="fc3")
        net = slim.dropout(net, dropout_keep_prob, scope="dropout3")
        net = end_points["fc4"] = slim.fully_connected(net, 192, scope="fc4")
        if not num_classes:
            return net, end_points
        logits = end_points["Logits"] = slim.fully_connected(
            net,
            num_classes,
            biases_initializer=tf.zeros_initializer(),
            weights_initializer=tf.truncated_normal_initializer(stddev=1 / 192.0),
            weights_regularizer=None,
            activation_fn=None,
            scope="logits",
        )
        end_points["Predictions"] = slim.softmax(logits, scope="Predictions")
    return logits, end_points


def cifarnet_arg_scope(weight_decay: float, batch_norm_decay: float | None = None) -> dict[Any, Any]:
    """Only the hidden layers are regularized. There is no batch norm: ``batch_norm_decay`` changes nothing."""
    with (
        slim.arg_scope(
            [slim.conv2d],
            weights_initializer=tf.truncated_normal_initializer(stddev=0.05),
            activation_fn=tf.nn.relu,
        ),
        slim.arg_scope(
            [slim.fully_connected],
            biases_initializer=tf.constant_initializer(0.1),
            weights_initializer=tf.truncated_normal_initializer(stddev=0.04),
            weights_regularizer=slim.l2_regularizer(weight_decay),
            activation_fn=tf.nn.relu,
        ) as scope,
    ):
        return scope


def _local_response_normalization(net: Any, name: str) -> Any:
    return tf.nn.local_response_normalization(net, depth_radius=4, bias=1.0, alpha=0.001 / 9.0, beta=0.75, name=name)


RECORDS = (
    NetRecord(
        name="cifarnet",
        builder=cifarnet,
        arg_scope=cifarnet_arg_scope,
        default_image_size=32,
        min_image_size=4,
        preprocessing="cifarnet",
        head_scopes=("CifarNet/logits",),
        feature_end_point="fc4",
        feature_width=192,
        paper="https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf",
        num_classes=10,
        num_parameters=1_756_426,
        flops=65_556_224,
    ),
)
