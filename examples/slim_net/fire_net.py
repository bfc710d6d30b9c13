"""A small net of fire modules for 32x32 images."""

import tensorflow as tf
from modules import fire

slim = tf.contrib.slim


def fire_net(images, num_classes=10, is_training=False, dropout_keep_prob=0.8, scope="FireNet"):
    """Returns logits [batch, num_classes] and the end points."""
    end_points = {}
    with tf.variable_scope(scope, "FireNet", [images]):
        with slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training):
            net = slim.conv2d(images, 32, [5, 5], stride=2, scope="conv1")
            net = fire(net, 16, 32, scope="fire2")
            net = slim.max_pool2d(net, [2, 2], scope="pool2")
            net = fire(net, 32, 64, scope="fire3")
            net = slim.dropout(net, dropout_keep_prob, scope="dropout3")
            net = slim.conv2d(net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope="conv4")
            logits = tf.reduce_mean(net, [1, 2], name="pool4")
            end_points["Logits"] = logits
            end_points["Predictions"] = tf.nn.softmax(logits, name="Predictions")
    return logits, end_points


fire_net.default_image_size = 32


def fire_net_arg_scope(weight_decay=0.0001, batch_norm_decay=0.9):
    with slim.arg_scope(
        [slim.conv2d],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        normalizer_fn=slim.batch_norm,
        normalizer_params={"decay": batch_norm_decay},
    ) as scope:
        return scope
