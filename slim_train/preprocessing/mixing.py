"""Mixup and CutMix: each image of a batch is mixed with another one of it, and so are their labels."""

from __future__ import annotations

from typing import Any

from slim_train.preprocessing import distort
from slim_train.tf_compat import tf


def mix_batch(images: Any, labels: Any, seed: Any, mixup_alpha: float = 0.0, cutmix_alpha: float = 0.0) -> Any:
    """Mix each image with its mirror place in the batch: the first with the last and so on.

    Mixup (Zhang et al. 2018, https://arxiv.org/abs/1710.09412) takes the weighted mean of the two; CutMix (Yun et al.
    2019, https://arxiv.org/abs/1905.04899) puts a rectangle of the other one in. Weights are drawn for each image from
    Beta(alpha, alpha). Where both are on, each image gets one of them with the same chance, as timm does for batches.

    Args:
      images: float32 [batch, height, width, channels] as the net takes them.
      labels: [batch] integers.
      seed: integer [2].
      mixup_alpha: 0 leaves mixup out; 0.2 is customary, 1 makes all weights equally likely.
      cutmix_alpha: 0 leaves CutMix out; 1 is customary.

    Returns:
      Dictionary of ``image``; ``label``; ``mixed_label`` [batch], of the other image; and ``label_weight`` float32
      [batch]: the share of the image's own label, for CutMix the share of its pixels that are its own.
    """
    assert mixup_alpha or cutmix_alpha
    height, width = images.shape[1:3].as_list()
    cut_chance = (cutmix_alpha > 0) / ((mixup_alpha > 0) + (cutmix_alpha > 0))
    choice, middle_y, middle_x = distort.uniform_by_image(images, 3, seed)
    is_cut = choice < cut_chance
    alpha = tf.where_v2(is_cut, cutmix_alpha or 1.0, mixup_alpha or 1.0)
    weight = _beta(alpha, distort.another_seed(seed, 0))
    # The rectangle keeps the image's shape; what lies beyond the border is lost, hence the share counted below.
    side = tf.sqrt(1.0 - weight)
    rows = distort.span(middle_y, side, height)
    columns = distort.span(middle_x, side, width)
    share_cut = _length(rows) * _length(columns) / (height * width)
    weight = tf.where_v2(is_cut, 1.0 - share_cut, weight)
    return {
        "image": _combine(images, weight, is_cut, *rows, *columns),
        "label": labels,
        "mixed_label": labels[::-1],
        "label_weight": tf.reshape(weight, [-1]),
    }


def _beta(alpha: Any, seed: Any) -> Any:
    """Beta(alpha, alpha), from two gamma variables; in float64, where those of small alphas do not vanish."""
    alphas = tf.cast(tf.stack([alpha, alpha]), tf.float64)
    first, second = tf.unstack(tf.random.stateless_gamma(tf.shape(alphas), seed, alphas, dtype=tf.float64))
    return tf.cast(tf.math.divide_no_nan(first, first + second), tf.float32)


def _length(span: tuple[Any, Any]) -> Any:
    return span[1] - span[0]


@distort.fused
def _combine(images: Any, weight: Any, is_cut: Any, top: Any, bottom: Any, left: Any, right: Any) -> Any:
    inside = distort.rectangle(images, top, bottom, left, right)
    own = tf.where_v2(is_cut, 1.0 - tf.cast(inside, tf.float32), weight)
    return own * images + (1.0 - own) * images[::-1]
