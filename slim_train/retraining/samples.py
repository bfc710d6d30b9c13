"""The images of one part of the split, to be drawn from. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Samples:
    """Images by their numbers.

    Args:
      by_class: the numbers of each class's images; either each class has some, or none has.

    Attributes:
      numbers: of all of them, class by class, int64 [N].
    """

    def __init__(self, by_class: Sequence[Sequence[int]]) -> None:
        self.numbers = np.array([number for numbers in by_class for number in numbers], np.int64)
        self._sizes = np.array([len(numbers) for numbers in by_class])
        self._starts = np.cumsum(self._sizes) - self._sizes

    def __len__(self) -> int:
        return len(self.numbers)

    def draw(self, shape: int | tuple[int, ...], random: np.random.Generator) -> NDArray[np.int64]:
        """Numbers drawn as retrain.py draws them: for each a class by chance, then one of its images.

        A class of few images is thus drawn as often as one of many.
        """
        classes = random.integers(len(self._sizes), size=shape)
        return self.numbers[self._starts[classes] + random.integers(self._sizes[classes])]

    def some(self, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """The numbers of ``count`` of the images, each at most once; of all where it is -1 or there are no more."""
        if count < 0 or count >= len(self):
            return self.numbers
        return np.sort(random.choice(self.numbers, count, replace=False))
