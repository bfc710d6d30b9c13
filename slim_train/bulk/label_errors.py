"""Labels that are probably wrong: a classifier that was trained on other images gives another one. No TensorFlow.

The classifier is the last layer of retrain, on features that are computed once. Each image is classified by one that
was trained on four fifths of the images, without the image and copies of it. Images are ranked by the probability of
their label. As in confident learning (Northcutt et al., 2021), probabilities are compared with what is usual for the
class: a label is probably wrong if another class is at least as probable as it usually is for its images, and the label
has less than a tenth of its usual probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slim_train.bulk.typical_images import standardized
from slim_train.evaluation.metrics import log_softmax
from slim_train.progress import ProgressBar
from slim_train.retraining.head import Head

FOLDS = 5
_BATCH_SIZE = 100
_EPOCHS = 20
_LEAST_STEPS = 500
_LEARNING_RATE = 0.01
_SEED = 0
_SMALL_SHARE = 0.1

Labels = NDArray[np.int64]


class Doubts(NamedTuple):
    """What a classifier says of the labels of N images.

    Attributes:
      order: indices of the images, that with the least probable label first [N].
      suggestions: the most probable class of each image [N].
      label_probabilities: probability of the label [N].
      suggestion_probabilities: probability of the suggestion [N].
      is_probable: whether the label is probably wrong [N].
    """

    order: NDArray[np.int64]
    suggestions: Labels
    label_probabilities: NDArray[np.float64]
    suggestion_probabilities: NDArray[np.float64]
    is_probable: NDArray[np.bool_]


def doubtful_labels(
    features: NDArray[np.float32], labels: Labels, keys: Sequence[bytes | None], num_classes: int
) -> Doubts:
    """Return what a classifier, trained on other images, says of each label.

    Args:
      features: [N, D].
      labels: [N].
      keys: digest of each image: equal ones are in one fold.
      num_classes: number of classes.

    Raises:
      RunError: training diverged.
    """
    own, best = np.zeros(len(labels)), np.zeros(len(labels))
    suggestions = np.zeros(len(labels), np.int64)
    for numbers, probabilities in out_of_fold(features, labels, keys, num_classes):
        own[numbers] = probabilities[np.arange(len(numbers)), labels[numbers]]
        suggestions[numbers], best[numbers] = probabilities.argmax(axis=1), probabilities.max(axis=1)
    counts = np.bincount(labels, minlength=num_classes)
    own[counts[labels] < 2] = 1.0  # nobody has seen another image of the class
    means = np.bincount(labels, own, num_classes) / np.maximum(counts, 1)
    is_probable = (suggestions != labels) & (best >= means[suggestions]) & (own < _SMALL_SHARE * means[labels])
    return Doubts(np.argsort(own, kind="stable"), suggestions, own, best, is_probable)


def out_of_fold(
    features: NDArray[np.float32], labels: Labels, keys: Sequence[bytes | None], num_classes: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Yield parts of all images, as numbers and the probabilities of their classes [part, classes].

    Parts are small: memory does not grow with images times classes. Arguments and errors as of
    :func:`doubtful_labels`.
    """
    random = np.random.default_rng(_SEED)
    scaled = standardized(features)  # the learning rate is one for all nets
    folds = _folds(labels, keys, random)
    with ProgressBar("looking for wrong labels", FOLDS, "folds") as bar:
        for fold in range(FOLDS):
            own = np.flatnonzero(folds == fold)
            head = Head(scaled, labels, num_classes, _LEARNING_RATE, random)
            for batch in _batches(np.flatnonzero(folds != fold), random):
                head.step(batch)
            for part, logits in head.parts(own) if len(own) else ():
                yield part, np.exp(log_softmax(logits))
            bar.update(fold + 1)


def _folds(labels: Labels, keys: Sequence[bytes | None], random: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold of each image: the images of a class are dealt out, equal ones into one fold."""
    fold_of: dict[bytes | None, int] = {}
    dealt = np.zeros(labels.max() + 1, np.int64)
    folds = np.zeros(len(labels), np.int64)
    for number in random.permutation(len(labels)).tolist():
        key, label = keys[number], labels[number]
        if key not in fold_of:
            fold_of[key] = int(dealt[label]) % FOLDS
            dealt[label] += 1
        folds[number] = fold_of[key]
    return folds


def _batches(numbers: NDArray[np.int64], random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield batches of a few epochs; of few images at least 500."""
    steps = max(_LEAST_STEPS, _EPOCHS * len(numbers) // _BATCH_SIZE)
    while steps > 0 and len(numbers):
        order = random.permutation(numbers)
        for start in range(0, len(order), _BATCH_SIZE)[:steps]:
            yield order[start : start + _BATCH_SIZE]
        steps -= -(-len(order) // _BATCH_SIZE)
