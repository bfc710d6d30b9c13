"""Losses of classification. They go to ``tf.GraphKeys.LOSSES``, where :mod:`deployment.model_deploy` finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slim_train.errors import UsageError
from slim_train.optim.loss_functions import Loss, make_loss
from slim_train.tf_compat import tf
from slim_train.training_options import OptimizerOptions

# The share of an auxiliary head in the loss, as in research/slim; Szegedy et al. 2014 have 0.3.
_AUX_WEIGHT = 0.4
_SOFTMAX = make_loss(OptimizerOptions())


def add_classification_loss(
    logits: Any,
    labels: Any,
    end_points: Mapping[str, Any] | None = None,
    loss: Loss = _SOFTMAX,
    class_weights: Sequence[float] | None = None,
    mixed_labels: Any = None,
    label_weights: Any = None,
) -> Any:
    """Add the loss of a batch to the graph's losses, and 0.4 times that of an auxiliary head.

    Args:
      logits: [B, C] of any floating type; the loss is computed in float32.
      labels: [B] integers in [0, C).
      end_points: the net's; ``AuxLogits``, [B, C], is used if there is one.
      loss: of both heads; softmax cross entropy by default.
      class_weights: factor of each class in the loss, C numbers; None weighs all alike. The batch is averaged over its
        number of images, not the sum of their weights, so that the loss of two batches together is the mean of both.
      mixed_labels: [B], the other label of images that are mixed from two; None if they are not.
      label_weights: [B] in [0, 1], the share of ``labels`` in the loss then; ``mixed_labels`` have the rest.

    Returns:
      The loss of the main head, scalar float32, without regularization.

    Raises:
      UsageError: see :class:`Loss`; or images are mixed, and the loss is not one for each image.
    """

    def loss_of(logits: Any, labels: Any) -> Any:
        labels = tf.cast(labels, tf.int64)
        weights = tf.ones_like(labels, tf.float32)
        if class_weights is not None:
            weights = tf.gather(tf.constant(class_weights, tf.float32), labels)
        return loss(logits, labels, weights, uses_weights=class_weights is not None)

    def mean_loss(logits: Any) -> Any:
        logits = tf.cast(logits, tf.float32)
        losses = loss_of(logits, labels)
        if mixed_labels is not None:
            if losses.shape.rank == 0:
                raise UsageError(
                    f"--loss={loss.name} returns one number for a batch: --mixup_alpha and --cutmix_alpha need the "
                    "loss of each image."
                )
            losses = label_weights * losses + (1.0 - label_weights) * loss_of(logits, mixed_labels)
        return tf.reduce_mean(losses)

    aux_logits = (end_points or {}).get("AuxLogits")
    if aux_logits is not None:
        with tf.name_scope("aux_loss"):
            tf.losses.add_loss(_AUX_WEIGHT * mean_loss(aux_logits))
    with tf.name_scope("softmax_cross_entropy_loss" if loss.name == _SOFTMAX.name else f"{loss.name}_loss"):
        mean = mean_loss(logits)
        tf.losses.add_loss(mean)
    return mean


def balanced_class_weights(
    class_counts: Sequence[int], num_classes: int | None = None, labels_offset: int = 0
) -> list[float]:
    """Weights that give every class the same part in the loss: ``N / (C * count)``, as scikit-learn's "balanced".

    Args:
      class_counts: images of each class of the data set. A class without images gets weight 0 and is not among the C.
      num_classes: length of the result, where the net has more classes than the data; None takes the data's.
      labels_offset: classes that the net leaves out at the start, as it is subtracted from labels; -1 adds one.
    """
    shares = np.asarray(class_shares(class_counts, num_classes, labels_offset))
    weights = np.zeros(len(shares))
    present = np.flatnonzero(shares)
    weights[present] = 1.0 / (len(present) * shares[present])
    return weights.tolist()


def class_shares(class_counts: Sequence[int], num_classes: int | None = None, labels_offset: int = 0) -> list[float]:
    """Return the share of each class of the net in the data; see :func:`balanced_class_weights` for the arguments."""
    counts = [*[0] * -labels_offset, *class_counts[max(0, labels_offset) :]]
    counts += [0] * ((num_classes or len(counts)) - len(counts))
    return (np.asarray(counts, np.float64) / sum(counts)).tolist()
