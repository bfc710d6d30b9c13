"""How far probabilities can be trusted: calibration error, temperature, and accuracy above a threshold. No TensorFlow.

Source: Guo et al. 2017, On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Equal-width bins of the calibration error, as in the paper.
NUM_BINS = 15
# Precision that the threshold of each class is for.
WISHED_PRECISION = 0.95
# Of fewer predictions no share says much: 19 of 20 right are 95%.
LEAST_ANSWERED = 20
# A temperature outside is that of a split without mistakes, or of a net that answers at random.
_LEAST_TEMPERATURE, _MOST_TEMPERATURE = 0.05, 20.0
# Logits kept for the temperature: 64 MB. These are all images of 7 classes up to 2.4 million, of 1,000 up to 16,777.
_MOST_VALUES = 1 << 24
_VALUES_AT_ONCE = 1 << 20
_THRESHOLDS = (*(percent / 100 for percent in range(0, 100, 5)), 0.98, 0.99, 0.995, 0.999)
_Z_95 = 1.959963984540054


class Bin(NamedTuple):
    """The images whose probability lies in (low, high]: how many, their mean probability and their accuracy."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


class Answered(NamedTuple):
    """What is left if answers below a threshold are refused: images, their share, and their accuracy."""

    threshold: float
    images: int
    coverage: float
    accuracy: float


class ClassThreshold(NamedTuple):
    """The lowest probability above which predictions of a class are as precise as wished.

    Attributes:
      label: the predicted class.
      threshold: predictions with at least this probability are counted.
      images: how many they are.
      precision: share of them that is right.
      coverage: their share of all predictions of the class.
    """

    label: int
    threshold: float
    images: int
    precision: float
    coverage: float


@dataclasses.dataclass(frozen=True)
class Temperature:
    """The number that divides the logits where the mean cross entropy is smallest. It changes no predicted class.

    Attributes:
      value: above 1 if the net is too sure of itself, below 1 if it is not sure enough.
      images: those it was fitted on: all of the split, or each 2nd, 4th, ... if their logits take more than 64 MB.
      loss_before, loss_after: mean cross entropy of these images in nats, without and with the temperature.
      calibration_error_before, calibration_error_after: of these images, without and with the temperature.
      bins: with the temperature.
    """

    value: float
    images: int
    loss_before: float
    loss_after: float
    calibration_error_before: float
    calibration_error_after: float
    bins: tuple[Bin, ...]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far the probability of the predicted class can be trusted. All but the temperature is exact.

    Attributes:
      error: expected calibration error over 15 bins of equal width.
      bins: of the reliability diagram; those without images are not listed.
      temperature: None if no temperature from 0.05 to 20 is best, as for a split without mistakes.
      coverage: from threshold 0, which answers all; thresholds that no image reaches are not listed.
      thresholds: for 95% precision, of the classes that reach it with 20 predictions or more.
    """

    error: float
    bins: tuple[Bin, ...]
    temperature: Temperature | None
    coverage: tuple[Answered, ...]
    thresholds: tuple[ClassThreshold, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the values as eval_<split>.json holds them."""
        temperature = self.temperature
        return {
            "calibration": {
                "expected_calibration_error": self.error,
                "num_bins": NUM_BINS,
                "bins": [of._asdict() for of in self.bins],
                "temperature": dataclasses.asdict(temperature) | {"bins": [of._asdict() for of in temperature.bins]}
                if temperature
                else None,
            },
            "coverage": [row._asdict() for row in self.coverage],
            "wished_precision": WISHED_PRECISION,
            "class_thresholds": [row._asdict() for row in self.thresholds],
        }


class CalibrationCounter:
    """Collects images of a split in batches of any size: 8 bytes each, and at most 64 MB of logits, twice at the end.

    Args:
      num_classes: C.
      most_values: how many logits to keep for the temperature.
    """

    def __init__(self, num_classes: int, most_values: int = _MOST_VALUES) -> None:
        self._num_classes = num_classes
        self._most_images = max(1, most_values // num_classes)
        self._confidences: list[NDArray[np.float32]] = []
        self._codes: list[NDArray[np.int32]] = []  # 2 * predicted class, 1 more if it is right
        self._seen = self._kept = 0
        self._step = 1
        # Place in the split, logits and true class of the images kept.
        self._sample: list[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]] = []

    def add(self, true: NDArray[Any], predicted: NDArray[Any], confidences: NDArray[Any], logits: NDArray[Any]) -> None:
        """Add a batch.

        Args:
          true, predicted: classes, int [B].
          confidences: probabilities of the predicted classes, float [B].
          logits: float [B, C].
        """
        self._confidences.append(confidences.astype(np.float32))
        self._codes.append((2 * predicted + (predicted == true)).astype(np.int32))
        places = np.arange(self._seen, self._seen + len(true))
        self._seen += len(true)
        kept = places % self._step == 0
        self._sample.append((places[kept], logits[kept].astype(np.float32), true[kept].astype(np.int64)))
        self._kept += int(kept.sum())
        while self._kept > self._most_images:
            # Each second one goes, wherever batches end: the sample is the same for every batch size.
            self._step *= 2
            chunks = ((chunk, chunk[0] % self._step == 0) for chunk in self._sample)
            self._sample = [(chunk[0][stays], chunk[1][stays], chunk[2][stays]) for chunk, stays in chunks]
            self._kept = sum(len(places) for places, _, _ in self._sample)

    def result(self) -> Calibration:
        """Return what the images so far, at least one, say."""
        confidences = np.concatenate(self._confidences)
        predicted, is_right = np.divmod(np.concatenate(self._codes), 2)
        bins = reliability(confidences, is_right)
        return Calibration(
            error=calibration_error(bins),
            bins=bins,
            temperature=self._temperature(),
            coverage=coverage(confidences, is_right),
            thresholds=tuple(class_thresholds(confidences, predicted, is_right)),
        )

    def _temperature(self) -> Temperature | None:
        logits = np.concatenate([logits for _, logits, _ in self._sample])
        labels = np.concatenate([labels for _, _, labels in self._sample])
        value = best_temperature(logits, labels)
        if value is None:
            return None
        (before, first), (after, second) = (_scaled(logits, labels, scale) for scale in (1.0, 1 / value))
        return Temperature(
            value, len(labels), before, after, calibration_error(first), calibration_error(second), second
        )


def wilson_interval(right: int, images: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of a share, https://doi.org/10.1080/01621459.1927.10502953."""
    share, square = right / images, _Z_95**2 / images
    middle = share + square / 2
    half = _Z_95 * math.sqrt(share * (1 - share) / images + square / (4 * images))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


def reliability(confidences: NDArray[Any], is_right: NDArray[Any]) -> tuple[Bin, ...]:
    """Return the 15 bins of equal width that hold images, from probabilities and answers, [N] each."""
    places = np.clip(np.ceil(confidences.astype(np.float64) * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    images = np.bincount(places, minlength=NUM_BINS)
    sums = np.bincount(places, confidences, NUM_BINS)
    right = np.bincount(places, is_right, NUM_BINS)
    return tuple(
        Bin(
            index / NUM_BINS,
            (index + 1) / NUM_BINS,
            int(images[index]),
            float(sums[index] / images[index]),
            float(right[index] / images[index]),
        )
        for index in np.flatnonzero(images).tolist()
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the mean distance of accuracy and probability over the images of the bins."""
    return sum(of.images * abs(of.accuracy - of.confidence) for of in bins) / sum(of.images for of in bins)


def coverage(confidences: NDArray[Any], is_right: NDArray[Any]) -> tuple[Answered, ...]:
    """Return what is left above each threshold, from probabilities and answers, [N] each."""
    order = np.argsort(confidences, kind="stable")
    # Right answers among the images from each place on.
    right = np.append(np.cumsum(is_right[order][::-1])[::-1], 0)
    total = len(order)
    first = np.searchsorted(confidences[order], np.asarray(_THRESHOLDS, np.float32)).tolist()
    return tuple(
        Answered(threshold, total - place, (total - place) / total, int(right[place]) / (total - place))
        for threshold, place in zip(_THRESHOLDS, first, strict=True)
        if place < total
    )


def class_thresholds(
    confidences: NDArray[Any],
    predicted: NDArray[Any],
    is_right: NDArray[Any],
    precision: float = WISHED_PRECISION,
    least: int = LEAST_ANSWERED,
) -> Iterator[ClassThreshold]:
    """Yield for each class that reaches ``precision`` the threshold that leaves the most predictions.

    Args:
      confidences: probabilities of the predicted classes, float [N].
      predicted: classes, int [N].
      is_right: whether they are the true ones, int [N].
      precision: what is wished, a share.
      least: predictions that must be left.
    """
    order = np.lexsort((-confidences, predicted))
    classes, starts = np.unique(predicted[order], return_index=True)
    for label, part in zip(classes.tolist(), np.split(order, starts[1:]), strict=True):
        values, right = confidences[part], np.cumsum(is_right[part])
        counts = np.arange(1, len(part) + 1)
        # Equal probabilities are answered together, or not at all.
        ends = np.append(values[1:] < values[:-1], True)
        (reached,) = np.nonzero(ends & (right >= precision * counts) & (counts >= least))
        if len(reached):
            last = int(reached[-1])
            images = last + 1
            yield ClassThreshold(label, float(values[last]), images, int(right[last]) / images, images / len(part))


def best_temperature(logits: NDArray[Any], labels: NDArray[Any]) -> float | None:
    """Return the temperature from 0.05 to 20 with the smallest mean cross entropy, or None if it is on the border.

    The cross entropy is convex in 1 / temperature: Newton's method, with bisection where it leaves the bracket.

    Args:
      logits: float [N, C].
      labels: true classes, int [N].
    """
    low, high = 1 / _MOST_TEMPERATURE, 1 / _LEAST_TEMPERATURE
    if _slope(logits, labels, low)[0] >= 0 or _slope(logits, labels, high)[0] <= 0:
        return None
    scale = 1.0
    for _ in range(60):
        slope, curvature = _slope(logits, labels, scale)
        low, high = (scale, high) if slope < 0 else (low, scale)
        following = scale - slope / curvature if curvature > 0 else low
        if not low < following < high:
            following = math.sqrt(low * high)
        if abs(following - scale) < 1e-7 * scale:
            break
        scale = following
    return 1 / following


def _chunks(logits: NDArray[Any], labels: NDArray[Any]) -> Iterator[tuple[NDArray[np.float64], NDArray[Any]]]:
    """Yield logits of few images at a time, the largest of each image 0, and their labels."""
    length = max(1, _VALUES_AT_ONCE // logits.shape[1])
    for start in range(0, len(labels), length):
        part = logits[start : start + length].astype(np.float64)
        yield part - part.max(axis=1, keepdims=True), labels[start : start + length]


def _slope(logits: NDArray[Any], labels: NDArray[Any], scale: float) -> tuple[float, float]:
    """First and second derivative of the mean cross entropy of ``scale * logits`` by ``scale``."""
    first = second = 0.0
    for values, true in _chunks(logits, labels):
        weights = np.exp(scale * values)
        weights /= weights.sum(axis=1, keepdims=True)
        weighted = weights * values
        means = weighted.sum(axis=1)
        first += float((means - values[np.arange(len(true)), true]).sum())
        second += float(((weighted * values).sum(axis=1) - means**2).sum())
    return first / len(labels), second / len(labels)


def _scaled(logits: NDArray[Any], labels: NDArray[Any], scale: float) -> tuple[float, tuple[Bin, ...]]:
    """Mean cross entropy and reliability of ``scale * logits``."""
    loss, confidences, is_right = 0.0, [], []
    for values, true in _chunks(logits, labels):
        sums = np.exp(scale * values).sum(axis=1)  # the largest probability is 1 / sum
        loss += float((np.log(sums) - scale * values[np.arange(len(true)), true]).sum())
        confidences.append(1 / sums)
        is_right.append(values.argmax(axis=1) == true)
    return loss / len(labels), reliability(np.concatenate(confidences), np.concatenate(is_right))
