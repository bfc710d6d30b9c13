"""How often each class was taken for each other one. Memory follows the images counted, not the square of the classes.

No TensorFlow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A matrix of so many classes is 2 MB, and can be looked at.
MOST_IN_MATRIX = 500
_CODES_PER_MERGE = 1_000_000


class WorstConfusions(NamedTuple):
    """The part of a confusion matrix with the most mistakes.

    Attributes:
      classes: those it is of, int64 [K], ascending.
      matrix: counts [K, K]; row: true class, column: predicted class.
      support: images of each of the classes, int64 [K].
    """

    classes: NDArray[np.int64]
    matrix: NDArray[np.int64]
    support: NDArray[np.int64]


class Confusion:
    """Counts of (true class, predicted class).

    Args:
      num_classes: C.
      codes: of pairs that were counted before: true * C + predicted, distinct and sorted.
      counts: of these.
    """

    def __init__(self, num_classes: int, codes: ArrayLike = (), counts: ArrayLike = ()) -> None:
        self.num_classes = num_classes
        self._codes = np.asarray(codes, np.int64)
        self._counts = np.asarray(counts, np.int64)
        # What came since pairs were merged.
        self._new: list[NDArray[np.int64]] = []

    def add(self, true: NDArray[np.integer], predicted: NDArray[np.integer]) -> None:
        """Count images by their true and their predicted classes, int [B] each."""
        self._new.append(true.astype(np.int64) * self.num_classes + predicted)
        if sum(map(len, self._new)) > _CODES_PER_MERGE:
            self._merge()

    def copy(self) -> Confusion:
        """Return the counts until now; they stay as they are."""
        self._merge()
        return Confusion(self.num_classes, self._codes, self._counts)

    @property
    def pairs(self) -> NDArray[np.int64]:
        """The pairs that occur, with their counts, by true and by predicted class: int64 [N, 3]."""
        self._merge()
        return np.stack([*np.divmod(self._codes, self.num_classes), self._counts], axis=1)

    @property
    def correct(self) -> NDArray[np.int64]:
        """Images of each class that were classified right, int64 [C]."""
        true, predicted, counts = self.pairs.T
        is_right = true == predicted
        return self._per_class(true[is_right], counts[is_right])

    @property
    def support(self) -> NDArray[np.int64]:
        """Images of each true class, int64 [C]."""
        true, _, counts = self.pairs.T
        return self._per_class(true, counts)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Images classified as each class, int64 [C]."""
        _, predicted, counts = self.pairs.T
        return self._per_class(predicted, counts)

    def matrix(self) -> NDArray[np.int64] | None:
        """Return all counts, int64 [C, C], row: true class, column: predicted class; None for over 500 classes."""
        if self.num_classes > MOST_IN_MATRIX:
            return None
        return self._part(np.arange(self.num_classes))

    def to_dict(self) -> dict[str, list[list[int]]]:
        """Return the matrix as JSON can hold it; for over 500 classes the pairs: [true, predicted, images]."""
        matrix = self.matrix()
        if matrix is not None:
            return {"confusion_matrix": matrix.tolist()}
        return {"confusion_pairs": self.pairs.tolist()}

    def worst(self, most_classes: int) -> WorstConfusions:
        """Return the counts of at most ``most_classes`` classes: those of the pairs that were confused most often."""
        true, predicted, counts = self.pairs.T
        wrong = np.flatnonzero(true != predicted)
        chosen: dict[int, None] = {}
        for index in wrong[np.argsort(-counts[wrong], kind="stable")]:
            pair = {int(true[index]), int(predicted[index])}
            if len(pair | chosen.keys()) > most_classes:
                break
            chosen |= dict.fromkeys(pair)
        classes = np.array(sorted(chosen or range(min(most_classes, self.num_classes))), np.int64)
        return WorstConfusions(classes, self._part(classes), self.support[classes])

    def _part(self, classes: NDArray[np.int64]) -> NDArray[np.int64]:
        true, predicted, counts = self.pairs.T
        is_inside = np.isin(true, classes) & np.isin(predicted, classes)
        part = np.zeros((len(classes), len(classes)), np.int64)
        rows, columns = (np.searchsorted(classes, side[is_inside]) for side in (true, predicted))
        part[rows, columns] = counts[is_inside]
        return part

    def _per_class(self, classes: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
        # Weights would make them floats, exact only to 2**53.
        sums = np.zeros(self.num_classes, np.int64)
        np.add.at(sums, classes, counts)
        return sums

    def _merge(self) -> None:
        if not self._new:
            return
        new, counts = np.unique(np.concatenate(self._new), return_counts=True)
        self._new = []
        codes, inverse = np.unique(np.concatenate([self._codes, new]), return_inverse=True)
        sums = np.zeros(len(codes), np.int64)
        np.add.at(sums, inverse, np.concatenate([self._counts, counts]))
        self._codes, self._counts = codes, sums
