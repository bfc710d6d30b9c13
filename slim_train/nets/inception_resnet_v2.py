"""Inception-ResNet v2 (Szegedy et al. 2016, arXiv:1602.07261, figures 3 and 16 to 19)."""

from __future__ import annotations

from typing import Any

from slim_train.nets.blocks.inception import Branch, auxiliary_features, avg_pool, branches, conv, max_pool
from slim_train.nets.inception_v4 import flattened_classifier
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf

# The stem of Inception v3: deeper than the paper's, and what the released weights have.
_STEM = (
    ("Conv2d_1a_3x3", conv("Conv2d_1a_3x3", 32, stride=2, padding="VALID")),
    ("Conv2d_2a_3x3", conv("Conv2d_2a_3x3", 32, padding="VALID")),
    ("Conv2d_2b_3x3", conv("Conv2d_2b_3x3", 64)),
    ("MaxPool_3a_3x3", max_pool("MaxPool_3a_3x3", stride=2, padding="VALID")),
    ("Conv2d_3b_1x1", conv("Conv2d_3b_1x1", 80)),
    ("Conv2d_4a_3x3", conv("Conv2d_4a_3x3", 192, padding="VALID")),
    ("MaxPool_5a_3x3", max_pool("MaxPool_5a_3x3", stride=2, padding="VALID")),
)
_MIXED_5B = (
    (conv("Conv2d_1x1", 96),),
    (conv("Conv2d_0a_1x1", 48), conv("Conv2d_0b_5x5", 64)),
    (conv("Conv2d_0a_1x1", 64), conv("Conv2d_0b_3x3", 96), conv("Conv2d_0c_3x3", 96)),
    (avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", 64)),
)
_MIXED_6A = (
    (conv("Conv2d_1a_3x3", 384, stride=2, padding="VALID"),),
    (
        conv("Conv2d_0a_1x1", 256),
        conv("Conv2d_0b_3x3", 256),
        conv("Conv2d_1a_3x3", 384, stride=2, padding="VALID"),
    ),
    (max_pool("MaxPool_1a_3x3", stride=2, padding="VALID"),),
)
_MIXED_7A = (
    (conv("Conv2d_0a_1x1", 256), conv("Conv2d_1a_3x3", 384, stride=2, padding="VALID")),
    (conv("Conv2d_0a_1x1", 256), conv("Conv2d_1a_3x3", 288, stride=2, padding="VALID")),
    (
        conv("Conv2d_0a_1x1", 256),
        conv("Conv2d_0b_3x3", 288),
        conv("Conv2d_1a_3x3", 320, stride=2, padding="VALID"),
    ),
    (max_pool("MaxPool_1a_3x3", stride=2, padding="VALID"),),
)
# Residual blocks, named after the size of their maps at the default image size.
_BLOCK_35 = (
    (conv("Conv2d_1x1", 32),),
    (conv("Conv2d_0a_1x1", 32), conv("Conv2d_0b_3x3", 32)),
    (conv("Conv2d_0a_1x1", 32), conv("Conv2d_0b_3x3", 48), conv("Conv2d_0c_3x3", 64)),
)
_BLOCK_17 = (
    (conv("Conv2d_1x1", 192),),
    (conv("Conv2d_0a_1x1", 128), conv("Conv2d_0b_1x7", 160), conv("Conv2d_0c_7x1", 192)),
)
_BLOCK_8 = (
    (conv("Conv2d_1x1", 192),),
    (conv("Conv2d_0a_1x1", 192), conv("Conv2d_0b_1x3", 224), conv("Conv2d_0c_3x1", 256)),
)


def inception_resnet_v2(images: Any, num_classes: int, dropout_keep_prob: float = 0.8) -> tuple[Any, dict[str, Any]]:
    """With one auxiliary head, on ``PreAuxLogits``, whose logits are the end point ``AuxLogits``."""
    end_points = {}
    with tf.variable_scope("InceptionResnetV2", values=[images]):
        net = images
        for name, layer in _STEM:
            net = end_points[name] = layer(net)
        with tf.variable_scope("Mixed_5b"):
            net = end_points["Mixed_5b"] = branches(net, *_MIXED_5B)
        net = _repeat(net, 10, "Repeat/block35", _BLOCK_35, scale=0.17)
        with tf.variable_scope("Mixed_6a"):
            net = end_points["Mixed_6a"] = branches(net, *_MIXED_6A)
        net = end_points["PreAuxLogits"] = _repeat(net, 20, "Repeat_1/block17", _BLOCK_17, scale=0.1)
        with tf.variable_scope("Mixed_7a"):
            net = end_points["Mixed_7a"] = branches(net, *_MIXED_7A)
        net = _repeat(net, 9, "Repeat_2/block8", _BLOCK_8, scale=0.2)
        with tf.variable_scope("Block8"):
            net = _residual(net, _BLOCK_8, scale=1.0)
        net = end_points["Conv2d_7b_1x1"] = conv("Conv2d_7b_1x1", 1536)(net)
        if num_classes:
            with tf.variable_scope("AuxLogits"):
                features = auxiliary_features(end_points["PreAuxLogits"], "Conv2d_1a_3x3", "Conv2d_2a_5x5")
                end_points["AuxLogits"] = slim.fully_connected(
                    slim.flatten(features), num_classes, activation_fn=None, scope="Logits"
                )
        return flattened_classifier(net, end_points, num_classes, dropout_keep_prob), end_points


def inception_resnet_v2_arg_scope(weight_decay: float, batch_norm_decay: float | None = None) -> dict[Any, Any]:
    """Biases, which only layers without batch norm have, are regularized like weights."""
    decay = 0.9997 if batch_norm_decay is None else batch_norm_decay
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            biases_regularizer=slim.l2_regularizer(weight_decay),
        ),
        slim.arg_scope(
            [slim.conv2d],
            activation_fn=tf.nn.relu,
            normalizer_fn=slim.batch_norm,
            normalizer_params={"decay": decay, "epsilon": 0.001},
        ) as scope,
    ):
        return scope


def _repeat(net: Any, times: int, scope: str, table: tuple[Branch, ...], scale: float) -> Any:
    for number in range(1, times + 1):
        with tf.variable_scope(f"{scope}_{number}", values=[net]):
            net = tf.nn.relu(_residual(net, table, scale))
    return net


def _residual(net: Any, table: tuple[Branch, ...], scale: float) -> Any:
    """``net`` plus ``scale`` times what the branches make of it; small scales keep training stable (section 3.3)."""
    width = net.shape.as_list()[-1]
    mixed = branches(net, *table)
    residual = slim.conv2d(mixed, width, [1, 1], activation_fn=None, normalizer_fn=None, scope="Conv2d_1x1")
    return net + scale * residual


RECORDS = (
    NetRecord(
        name="inception_resnet_v2",
        builder=inception_resnet_v2,
        arg_scope=inception_resnet_v2_arg_scope,
        default_image_size=299,
        min_image_size=75,
        preprocessing="inception",
        head_scopes=("InceptionResnetV2/Logits", "InceptionResnetV2/AuxLogits/Logits"),
        feature_end_point="global_pool",
        feature_width=1536,
        paper="https://arxiv.org/abs/1602.07261",
        num_classes=1001,
        num_parameters=55_814_729,
        flops=26_311_591_104,
        imagenet_top1=80.4,
        checkpoint_url="http://download.tensorflow.org/models/inception_resnet_v2_2016_08_30.tar.gz",
    ),
)
