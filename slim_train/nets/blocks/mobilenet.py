"""What the MobileNets share: their arg scope, the rounding of widths, and the head of v2 and v3."""

from __future__ import annotations

from typing import Any

from slim_train.nets.blocks.heads import pooled_classifier
from slim_train.tf_compat import slim, tf


def mobilenet_arg_scope(
    default_decay: float, weight_decay: float, batch_norm_decay: float | None = None
) -> dict[Any, Any]:
    """Batch norm and ReLU6 after every convolution, moving averages with ``default_decay`` unless told otherwise.

    Depthwise weights are not regularized: they are few, and decay costs accuracy (section 3 of arXiv:1704.04861).
    """
    decay = default_decay if batch_norm_decay is None else batch_norm_decay
    with (
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            weights_initializer=tf.truncated_normal_initializer(stddev=0.09),
            activation_fn=tf.nn.relu6,
            normalizer_fn=slim.batch_norm,
            normalizer_params={"decay": decay, "epsilon": 0.001, "center": True, "scale": True},
        ),
        slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(weight_decay)) as scope,
    ):
        return scope


def round_width(width: float, divisor: int = 8) -> int:
    """``width`` rounded to a multiple of ``divisor``, never to less than 0.9 of it."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * width else rounded + divisor


def mobilenet_classifier(net: Any, end_points: dict[str, Any], num_classes: int, dropout_keep_prob: float) -> Any:
    """Return the head of MobileNet v2 and v3: logits, or the pooled features if there are no classes."""
    return pooled_classifier(
        net,
        end_points,
        num_classes,
        pool="global_pool",
        dropout="Dropout",
        dropout_keep_prob=dropout_keep_prob,
        logits="Conv2d_1c_1x1",
    )
