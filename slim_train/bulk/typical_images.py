"""The images that are most like the others of their class, and those that are least, by features. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def standardized(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features [N, D], each with mean 0 and standard deviation 1 over all images: nets differ in their scale."""
    scaled = features - features.mean(axis=0)
    scaled /= np.maximum(features.std(axis=0), 1e-6)
    return scaled


def directions(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features [N, D] with the same spread of each over all images, as vectors of length 1 [N, D]."""
    scaled = standardized(features)
    scaled /= np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)
    return scaled


def likeness_to_class(directions: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each image the cosine of the angle between its features and the mean of its class [N].

    Args:
      directions: of the features [N, D].
      labels: [N].
    """
    likeness = np.zeros(len(labels))
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        mean = directions[of_class].mean(axis=0)
        likeness[of_class] = directions[of_class] @ (mean / max(float(np.linalg.norm(mean)), 1e-12))
    return likeness


def typical_and_unusual(
    likeness: NDArray[np.float64],
    labels: NDArray[np.int64],
    keys: Sequence[bytes | None],
    shares: Iterable[tuple[int, int]],
) -> tuple[list[int], list[int]]:
    """Return the images that are most and those that are least like their class, as indices. Copies count once.

    Args:
      likeness: what :func:`likeness_to_class` returned [N].
      labels: [N].
      keys: digest of each image.
      shares: labels to show, and how many images of each.
    """
    typical: list[int] = []
    unusual: list[int] = []
    for label, count in shares:
        of_class = np.flatnonzero(labels == label)
        ordered = of_class[np.argsort(-likeness[of_class], kind="stable")].tolist()
        once = list({keys[number]: number for number in reversed(ordered)}.values())[::-1]
        typical += once[:count]
        unusual += once[max(count, len(once) - count) :][::-1]
    return typical, unusual
