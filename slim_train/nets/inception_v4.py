"""Inception v4 (Szegedy et al. 2016, arXiv:1602.07261, figures 3 to 9)."""

from __future__ import annotations

from typing import Any

from slim_train.nets.blocks.heads import global_average_pool
from slim_train.nets.blocks.inception import auxiliary_features, avg_pool, branches, conv, fork, max_pool
from slim_train.nets.inception import inception_arg_scope
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf

_STEM = (
    ("Conv2d_1a_3x3", conv("Conv2d_1a_3x3", 32, stride=2, padding="VALID")),
    ("Conv2d_2a_3x3", conv("Conv2d_2a_3x3", 32, padding="VALID")),
    ("Conv2d_2b_3x3", conv("Conv2d_2b_3x3", 64)),
)
_BLOCK_A = (
    (conv("Conv2d_0a_1x1", 96),),
    (conv("Conv2d_0a_1x1", 64), conv("Conv2d_0b_3x3", 96)),
    (conv("Conv2d_0a_1x1", 64), conv("Conv2d_0b_3x3", 96), conv("Conv2d_0c_3x3", 96)),
    (avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", 96)),
)
_BLOCK_B = (
    (conv("Conv2d_0a_1x1", 384),),
    (conv("Conv2d_0a_1x1", 192), conv("Conv2d_0b_1x7", 224), conv("Conv2d_0c_7x1", 256)),
    (
        conv("Conv2d_0a_1x1", 192),
        conv("Conv2d_0b_7x1", 192),
        conv("Conv2d_0c_1x7", 224),
        conv("Conv2d_0d_7x1", 224),
        conv("Conv2d_0e_1x7", 256),
    ),
    (avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", 128)),
)
_BLOCK_C = (
    (conv("Conv2d_0a_1x1", 256),),
    (conv("Conv2d_0a_1x1", 384), fork(conv("Conv2d_0b_1x3", 256), conv("Conv2d_0c_3x1", 256))),
    (
        conv("Conv2d_0a_1x1", 384),
        conv("Conv2d_0b_3x1", 448),
        conv("Conv2d_0c_1x3", 512),
        fork(conv("Conv2d_0d_1x3", 256), conv("Conv2d_0e_3x1", 256)),
    ),
    (avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", 256)),
)
_MODULES = {
    "Mixed_3a": (
        (max_pool("MaxPool_0a_3x3", stride=2, padding="VALID"),),
        (conv("Conv2d_0a_3x3", 96, stride=2, padding="VALID"),),
    ),
    "Mixed_4a": (
        (conv("Conv2d_0a_1x1", 64), conv("Conv2d_1a_3x3", 96, padding="VALID")),
        (
            conv("Conv2d_0a_1x1", 64),
            conv("Conv2d_0b_1x7", 64),
            conv("Conv2d_0c_7x1", 64),
            conv("Conv2d_1a_3x3", 96, padding="VALID"),
        ),
    ),
    "Mixed_5a": (
        (conv("Conv2d_1a_3x3", 192, stride=2, padding="VALID"),),
        (max_pool("MaxPool_1a_3x3", stride=2, padding="VALID"),),
    ),
    **{f"Mixed_5{letter}": _BLOCK_A for letter in "bcde"},
    "Mixed_6a": (
        (conv("Conv2d_1a_3x3", 384, stride=2, padding="VALID"),),
        (
            conv("Conv2d_0a_1x1", 192),
            conv("Conv2d_0b_3x3", 224),
            conv("Conv2d_1a_3x3", 256, stride=2, padding="VALID"),
        ),
        (max_pool("MaxPool_1a_3x3", stride=2, padding="VALID"),),
    ),
    **{f"Mixed_6{letter}": _BLOCK_B for letter in "bcdefgh"},
    "Mixed_7a": (
        (conv("Conv2d_0a_1x1", 192), conv("Conv2d_1a_3x3", 192, stride=2, padding="VALID")),
        (
            conv("Conv2d_0a_1x1", 256),
            conv("Conv2d_0b_1x7", 256),
            conv("Conv2d_0c_7x1", 320),
            conv("Conv2d_1a_3x3", 320, stride=2, padding="VALID"),
        ),
        (max_pool("MaxPool_1a_3x3", stride=2, padding="VALID"),),
    ),
    **{f"Mixed_7{letter}": _BLOCK_C for letter in "bcd"},
}


def inception_v4(images: Any, num_classes: int, dropout_keep_prob: float = 0.8) -> tuple[Any, dict[str, Any]]:
    """With one auxiliary head, on ``Mixed_6h``, whose logits are the end point ``AuxLogits``."""
    end_points = {}
    with tf.variable_scope("InceptionV4", values=[images]):
        net = images
        for name, layer in _STEM:
            net = end_points[name] = layer(net)
        for name, table in _MODULES.items():
            with tf.variable_scope(name):
                net = end_points[name] = branches(net, *table)
        if num_classes:
            with tf.variable_scope("AuxLogits"):
                features = auxiliary_features(end_points["Mixed_6h"], "AvgPool_1a_5x5", "Conv2d_2a")
                end_points["AuxLogits"] = slim.fully_connected(
                    slim.flatten(features), num_classes, activation_fn=None, scope="Aux_logits"
                )
        return flattened_classifier(net, end_points, num_classes, dropout_keep_prob), end_points


def flattened_classifier(net: Any, end_points: dict[str, Any], num_classes: int, dropout_keep_prob: float) -> Any:
    """Global pooling, dropout and a fully connected classifier; logits [batch, num_classes].

    Without classes the output is the pooled features, [batch, 1, 1, width].
    """
    with tf.variable_scope("Logits"):
        net = end_points["global_pool"] = global_average_pool(net, "global_pool")
        if not num_classes:
            return net
        net = slim.dropout(net, dropout_keep_prob, scope="Dropout_1b")
        net = end_points["PreLogitsFlatten"] = slim.flatten(net, scope="PreLogitsFlatten")
        logits = end_points["Logits"] = slim.fully_connected(net, num_classes, activation_fn=None, scope="Logits")
        end_points["Predictions"] = tf.nn.softmax(logits, name="Predictions")
        return logits


RECORDS = (
    NetRecord(
        name="inception_v4",
        builder=inception_v4,
        arg_scope=inception_arg_scope,
        default_image_size=299,
        min_image_size=75,
        preprocessing="inception",
        head_scopes=("InceptionV4/Logits", "InceptionV4/AuxLogits/Aux_logits"),
        feature_end_point="global_pool",
        feature_width=1536,
        paper="https://arxiv.org/abs/1602.07261",
        num_classes=1001,
        num_parameters=42_649_769,
        flops=24_507_952_320,
        imagenet_top1=80.2,
        checkpoint_url="http://download.tensorflow.org/models/inception_v4_2016_09_09.tar.gz",
    ),
)
