"""Metrics of a classifier, summed up batch by batch with numpy. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slim_train.errors import RunError, UsageError
from slim_train.evaluation.calibration import Calibration, CalibrationCounter, wilson_interval
from slim_train.evaluation.confusion import Confusion


class Predictions(NamedTuple):
    """The most probable class of each image, int64 [B], and its probability, float64 [B]."""

    classes: NDArray[np.int64]
    probabilities: NDArray[np.float64]


class Average(NamedTuple):
    """Precision, recall and F1 averaged over classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ClassificationReport:
    """What a classifier got right over a set of images.

    The figures are those of scikit-learn's ``classification_report`` with ``zero_division=0``, 0/0 counting as 0.

    Attributes:
      images: how many were counted.
      loss: mean softmax cross entropy, in nats.
      accuracy: share of the images whose most probable class is the true one.
      top_5_accuracy: share of the images with the true class among the min(5, C) most probable: 1 where C is at most 5.
      confusion: how often each class was taken for each other one.
      precision, recall, f1: float64 [C], for each class.
      support: int64 [C], images of each true class.
      balanced_accuracy: mean recall of the classes that have images.
      macro: mean over the classes that occur as a true or a predicted class.
      weighted: mean over the classes, weighted by their support.
      calibration: how far probabilities can be trusted; None if logits were not counted.
    """

    images: int
    loss: float
    accuracy: float
    top_5_accuracy: float
    confusion: Confusion
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    balanced_accuracy: float
    macro: Average
    weighted: Average
    calibration: Calibration | None

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """The 95% Wilson score interval of the accuracy."""
        return wilson_interval(round(self.accuracy * self.images), self.images)

    @property
    def confusion_matrix(self) -> NDArray[np.int64] | None:
        """Counts, int64 [C, C]; row: true class, column: predicted class. None for over 500 classes."""
        return self.confusion.matrix()

    def best_and_worst(self, count: int) -> tuple[list[int], list[int]]:
        """Return the ``count`` classes of the highest F1, best first, and of the lowest, worst first.

        Classes that do not occur are left out; no class is in both lists.
        """
        occurring = np.flatnonzero((self.support > 0) | (self.confusion.predicted > 0))
        # Of equals, those with more images tell more.
        order = occurring[np.lexsort((occurring, -self.support[occurring], self.f1[occurring]))].tolist()
        worst = order[:count]
        return order[: len(worst) - 1 : -1][:count], worst

    def headline(self) -> dict[str, float]:
        """Return the few figures that a log line or a training curve shows: loss, accuracy, top_5_accuracy."""
        return {name: getattr(self, name) for name in ("loss", "accuracy", "top_5_accuracy")}


class ClassificationMetrics:
    """Counts the images of a split, each exactly once, in batches of any size.

    The class with the highest logit is the predicted one. Among equal logits the lower index comes first, as in
    ``tf.math.top_k``, so that results never depend on the batch size.

    Args:
      num_classes: C, the number of logits.
    """

    def __init__(self, num_classes: int) -> None:
        assert num_classes >= 1
        self.num_classes = num_classes
        self.images = 0
        self._loss_sum = 0.0
        self._in_top_5 = 0
        self._correct = 0
        self._confusion = Confusion(num_classes)
        self._calibration: CalibrationCounter | None = CalibrationCounter(num_classes)

    def update(self, labels: ArrayLike, logits: ArrayLike, mask: ArrayLike | None = None) -> None:
        """Count one batch.

        Args:
          labels: true classes, int [B].
          logits: float [B, C]. The logarithm of probabilities is as good, since softmax gives the probabilities back.
          mask: bool [B], False for padding, which may hold anything; None counts every row.

        Raises:
          RunError: a logit is not finite.
          UsageError: a label lies outside 0..C-1.
        """
        true, scores = np.asarray(labels), np.asarray(logits)
        if mask is not None:
            is_real = np.asarray(mask, bool)
            true, scores = true[is_real], scores[is_real]
        assert scores.shape == (len(true), self.num_classes), (true.shape, scores.shape, self.num_classes)
        wrong = true[(true < 0) | (true >= self.num_classes)]
        if wrong.size:
            raise UsageError(
                f"An image has label {wrong[0]}, but the net has the {self.num_classes} classes 0 to "
                f"{self.num_classes - 1}. Check --num_classes and --labels_offset."
            )
        log_probabilities = log_softmax(scores)
        predicted = scores.argmax(axis=1)
        if self._calibration:
            self._calibration.add(true, predicted, np.exp(log_probabilities.max(axis=1)), scores)
        of_true = np.take_along_axis(log_probabilities, true[:, np.newaxis], axis=1)
        self._add(true, predicted, ranks(scores, true), of_true)

    def count(self, labels: ArrayLike, predicted: ArrayLike, ranks: ArrayLike, probabilities: ArrayLike) -> None:
        """Count images whose logits are gone.

        Args:
          labels: true classes, int [B].
          predicted: the most probable classes, int [B].
          ranks: place of the true class among the most probable ones, from 0, int [B].
          probabilities: of the true class, float [B].
        """
        self._calibration = None
        smallest = np.finfo(np.float64).tiny  # a probability of 0 is one that was rounded
        log_probabilities = np.log(np.maximum(np.asarray(probabilities, np.float64), smallest))
        self._add(np.asarray(labels), np.asarray(predicted), np.asarray(ranks), log_probabilities)

    def _add(
        self, true: NDArray[Any], predicted: NDArray[Any], ranks: NDArray[Any], log_probabilities: NDArray[Any]
    ) -> None:
        self.images += len(true)
        self._loss_sum -= float(log_probabilities.sum())
        self._in_top_5 += int((ranks < 5).sum())
        self._correct += int((predicted == true).sum())
        self._confusion.add(true, predicted)

    def headline(self) -> dict[str, float]:
        """Return the few figures that a log line or a training curve shows: loss, accuracy, top_5_accuracy.

        Raises:
          RunError: no image was counted.
        """
        self._check_not_empty()
        return {
            "loss": self._loss_sum / self.images,
            "accuracy": self._correct / self.images,
            "top_5_accuracy": self._in_top_5 / self.images,
        }

    def report(self) -> ClassificationReport:
        """Return all figures over the batches so far.

        Raises:
          RunError: no image was counted.
        """
        self._check_not_empty()
        confusion = self._confusion.copy()
        correct, support, predicted = confusion.correct, confusion.support, confusion.predicted
        precision, recall = _ratio(correct, predicted), _ratio(correct, support)
        f1 = _ratio(2 * correct, support + predicted)
        occurs = support + predicted > 0
        return ClassificationReport(
            images=self.images,
            loss=self._loss_sum / self.images,
            accuracy=self._correct / self.images,
            top_5_accuracy=self._in_top_5 / self.images,
            confusion=confusion,
            precision=precision,
            recall=recall,
            f1=f1,
            support=support,
            balanced_accuracy=float(recall[support > 0].mean()),
            macro=Average(*(float(values[occurs].mean()) for values in (precision, recall, f1))),
            weighted=Average(*(float(np.average(values, weights=support)) for values in (precision, recall, f1))),
            calibration=self._calibration.result() if self._calibration else None,
        )

    def _check_not_empty(self) -> None:
        if not self.images:
            raise RunError("No image was evaluated: the split is empty.")


def predict(logits: ArrayLike) -> Predictions:
    """Return the predicted class of each row of ``logits``, float [B, C], and its probability by softmax."""
    return Predictions(np.asarray(logits).argmax(axis=1), np.exp(log_softmax(logits).max(axis=1)))


def log_softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the softmax of each row of ``logits``, float [B, C], exact for large values too.

    Raises:
      RunError: a logit is not finite.
    """
    values = np.asarray(logits, np.float64)
    if not np.isfinite(values).all():
        raise RunError("The net gives logits that are NaN or infinite: the checkpoint is from a run that diverged.")
    shifted = values - values.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def ranks(logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many classes come before the true one, int [B]: of a higher logit, or an equal one and a lower index.

    Args:
      logits: float [B, C].
      labels: the true classes, int [B].
    """
    of_true = np.take_along_axis(logits, labels[:, np.newaxis], axis=1)
    has_lower_index = np.arange(logits.shape[1]) < labels[:, np.newaxis]
    return ((logits > of_true) | ((logits == of_true) & has_lower_index)).sum(axis=1)


def _ratio(numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> NDArray[np.float64]:
    return numerator / np.maximum(denominator, 1)
