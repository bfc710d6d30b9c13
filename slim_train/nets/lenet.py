"""LeNet for digits, with wider layers and ReLU, as TF-Slim trains it."""

from __future__ import annotations

from typing import Any

from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf


def lenet(images: Any, num_classes: int, dropout_keep_prob: float = 0.5) -> tuple[Any, dict[str, Any]]:
    """Two convolutions and a hidden layer whose weights fit one image size: 28 gives the released shapes."""
    end_points = {}
    with tf.variable_scope("LeNet", values=[images]):
        net = end_points["conv1"] = slim.conv2d(images, 32, [5, 5], scope="conv1")
        net = end_points["pool1"] = slim.max_pool2d(net, [2, 2], stride=2, scope="pool1")
        net = end_points["conv2"] = slim.conv2d(net, 64, [5, 5], scope="conv2")
        net = end_points["pool2"] = slim.max_pool2d(net, [2, 2], stride=2, scope="pool2")
        net = end_points["Flatten"] = slim.flatten(net)
        net = end_points["fc3"] = slim.fully_connected(net, 1024, scope="fc3")
        net = end_points["dropout3"] = slim.dropout(net, dropout_keep_prob, scope="dropout3")
        if not num_classes:
            return net, end_points
        logits = end_points["Logits"] = slim.fully_connected(net, num_classes, activation_fn=None, scope="fc4")
        end_points["Predictions"] = slim.softmax(logits, scope="Predictions")
    return logits, end_points


def lenet_arg_scope(weight_decay: float, batch_norm_decay: float | None = None) -> dict[Any, Any]:
    """There is no batch norm: ``batch_norm_decay`` changes nothing."""
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        weights_initializer=tf.truncated_normal_initializer(stddev=0.1),
        activation_fn=tf.nn.relu,
    ) as scope:
        return scope


RECORDS = (
    NetRecord(
        name="lenet",
        builder=lenet,
        arg_scope=lenet_arg_scope,
        default_image_size=28,
        channels=1,
        min_image_size=4,
        preprocessing="lenet",
        head_scopes=("LeNet/fc4",),
        feature_end_point="dropout3",
        feature_width=1024,
        paper="https://doi.org/10.1109/5.726791",
        num_classes=10,
        num_parameters=3_274_634,
        flops=27_767_808,
    ),
)
