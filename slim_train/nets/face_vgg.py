"""FaceVGG: a small VGG with batch norm for grey images of faces, 48 pixels high and wide, as those of FER2013.

After the net of Khaireddin and Chen 2021 (https://arxiv.org/abs/2105.03588), best of the single nets on FER2013: four
blocks of 3x3 convolutions at the image's full resolution first. Here each block is half as wide, global pooling
takes the place of three fully connected layers, and the later blocks, whose small maps are quick, are deeper.
"""

from __future__ import annotations

from typing import Any

from slim_train.nets.blocks.heads import pooled_classifier
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf

_WIDTHS = (32, 64, 128, 256)
_DEPTHS = (2, 2, 3, 3)  # convolutions in a block


def face_vgg(images: Any, num_classes: int, dropout_keep_prob: float = 0.6) -> tuple[Any, dict[str, Any]]:
    """Blocks of convolutions with max pooling between them, global pooling and a linear classifier."""
    end_points = {}
    with tf.variable_scope("FaceVgg", values=[images]):
        net = images
        for block, (width, depth) in enumerate(zip(_WIDTHS, _DEPTHS, strict=True), start=1):
            if block > 1:
                net = slim.max_pool2d(net, [2, 2], stride=2, padding="SAME", scope=f"pool{block - 1}")
            for number in range(1, depth + 1):
                net = slim.conv2d(net, width, [3, 3], scope=f"conv{block}_{number}")
            end_points[f"block{block}"] = net
        output = pooled_classifier(
            net,
            end_points,
            num_classes,
            pool="global_pool",
            dropout="dropout",
            dropout_keep_prob=dropout_keep_prob,
            logits="logits",
        )
    return output, end_points


def face_vgg_arg_scope(weight_decay: float, batch_norm_decay: float | None = None) -> dict[Any, Any]:
    """Statistics of batch norm follow quickly: recipes for small images are short."""
    with slim.arg_scope(
        [slim.conv2d],
        activation_fn=tf.nn.relu,
        weights_initializer=slim.variance_scaling_initializer(),
        weights_regularizer=slim.l2_regularizer(weight_decay),
        normalizer_fn=slim.batch_norm,
        normalizer_params={
            "decay": 0.95 if batch_norm_decay is None else batch_norm_decay,
            "epsilon": 1e-5,
            "scale": True,
            "fused": True,
        },
    ) as scope:
        return scope


RECORDS = (
    NetRecord(
        name="face_vgg",
        builder=face_vgg,
        arg_scope=face_vgg_arg_scope,
        default_image_size=48,
        preprocessing="lenet",
        head_scopes=("FaceVgg/Logits",),
        feature_end_point="global_pool",
        feature_width=256,
        paper="https://arxiv.org/abs/2105.03588",
        channels=1,
        num_classes=7,
        num_parameters=1_912_487,
        flops=319_835_648,
    ),
)
