"""The worst mistakes of an evaluation: kept while it runs, drawn when it ends."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slim_train.evaluation.metrics import Predictions
from slim_train.reports.contact_sheet import Tile, draw_contact_sheet
from slim_train.reports.fonts import can_draw, drawable_labels

_ACCENT = "#c2410c"


@dataclass(frozen=True)
class Mistake:
    """An image, true class ``label``, that the net took for class ``predicted`` with ``probability``.

    ``heat`` is an encoded image of where the net looked, or None.
    """

    image: bytes | NDArray[np.uint8]
    file: str
    label: int
    predicted: int
    probability: float
    heat: bytes | None = None


class WorstMistakes:
    """Keeps the mistakes made with the highest probability, and no more of the images than those.

    Among equal probabilities the image that came first is kept.

    Args:
      capacity: how many to keep.
    """

    def __init__(self, capacity: int) -> None:
        assert capacity >= 0
        self.total = 0
        self._capacity = capacity
        self._heap: list[tuple[float, int, Mistake]] = []
        self._order = itertools.count(0, -1)

    def update(
        self,
        images: Sequence[bytes | NDArray[np.uint8]],
        files: Sequence[str],
        labels: Iterable[int],
        predictions: Predictions,
    ) -> None:
        """Offer one batch of B images; correctly predicted ones are ignored."""
        for image, file, label, predicted, probability in zip(images, files, labels, *predictions, strict=True):
            if label != predicted:
                self._offer(Mistake(image, file, int(label), int(predicted), float(probability)))

    def _offer(self, mistake: Mistake) -> None:
        self.total += 1
        entry = (mistake.probability, next(self._order), mistake)
        if len(self._heap) < self._capacity:
            heapq.heappush(self._heap, entry)
        elif self._heap:
            heapq.heappushpop(self._heap, entry)

    def worst_first(self) -> list[Mistake]:
        """Return the mistakes kept, the highest probability first."""
        return [mistake for _, _, mistake in sorted(self._heap, reverse=True)]


def file_names(batch: Mapping[str, Any]) -> list[str]:
    """Return the file names of a batch of an evaluation."""
    return [name.decode("utf-8", "surrogateescape") for name in batch["filename"]]


def draw_mistakes_sheet(
    path: Path, mistakes: Sequence[Mistake], labels: Sequence[str], *, split: str, images: int, total: int
) -> None:
    """Draw ``mistakes`` as a contact sheet: true class, predicted class with its probability, file name.

    Args:
      path: the file to write.
      mistakes: what to draw, in this order.
      labels: a name for each class.
      split: name of the split.
      images: how many images were evaluated.
      total: how many mistakes were made among them.
    """
    names = drawable_labels(labels)
    arrow = "→" if can_draw("→") else ">"
    tiles = [
        Tile(
            mistake.image,
            (
                names[mistake.label],
                (f"{arrow} {names[mistake.predicted]}", f"{mistake.probability:.0%}"),
                PurePath(mistake.file).name,
            ),
            _ACCENT,
        )
        for mistake in mistakes
    ]
    if total == 0:
        draw_contact_sheet(path, [], f"No mistakes among {images:,} images", split)
        return
    note = f"{split} · {total:,} of {images:,} images wrong · {len(tiles)} shown, the most confident first"
    draw_contact_sheet(path, tiles, f"Worst mistakes: true class {arrow} prediction", note)
