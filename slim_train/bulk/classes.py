"""The work on one batch: images in, classes and probabilities out; and its rows in Parquet."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.images import ImageRejected
from slim_train.bulk import parquet
from slim_train.bulk.image_rows import ImageOpener, ImageRow, ReadImage
from slim_train.bulk.parts import Part, PartDone
from slim_train.errors import UsageError
from slim_train.evaluation.metrics import ranks
from slim_train.inference.predictor import BATCH_SIZE, ImageError, Predictor, top_classes
from slim_train.retraining.output import label_names


class Classified(NamedTuple):
    """The classes of an image.

    Attributes:
      top: (class, probability), best first; empty if the image is rejected.
      true_probability: of the class that it has, if that is known to the classifier.
      true_rank: place of that class, from 0.
      error: why the image is rejected, or None.
    """

    top: tuple[tuple[str, float], ...] = ()
    true_probability: float | None = None
    true_rank: int | None = None
    error: str | None = None


def class_numbers(labels: Sequence[str], classes: Sequence[str]) -> dict[str, int]:
    """Return the number that a classifier has for each class of the images; those that it does not know are absent.

    Names are equal as they are, or as retrain writes them.
    """
    number = {label: index for index, label in enumerate(labels)}
    try:
        written = label_names(classes)
    except UsageError:  # two classes have one name so
        written = list(classes)
    found = {name: number.get(name, number.get(plain)) for name, plain in zip(classes, written, strict=True)}
    return {name: index for name, index in found.items() if index is not None}


class ClassBody:
    """Classifies batches of images.

    Args:
      predictor: the classifier.
      opener: reads the images.
      classes: that the images have.
      top: number of classes to return.
      threads: that decode images.
    """

    def __init__(
        self, predictor: Predictor, opener: ImageOpener, classes: Sequence[str], top: int, threads: int
    ) -> None:
        self._predictor, self._opener, self._top, self._threads = predictor, opener, top, threads
        self._numbers = class_numbers(predictor.labels, classes)

    def __call__(self, rows: Sequence[ImageRow]) -> list[Classified]:
        """Return the classes of a batch of any size."""
        results: list[Classified] = []
        with self._opener.opened([row.path for row in rows]) as read, ThreadPoolExecutor(self._threads) as pool:
            for begin in range(0, len(rows), BATCH_SIZE):
                batch = rows[begin : begin + BATCH_SIZE]
                prepared = list(pool.map(functools.partial(self._prepare, read), batch))
                images = [image for image in prepared if not isinstance(image, Classified)]
                scores = iter(self._predictor.scores(np.stack(images)) if images else ())
                for row, image in zip(batch, prepared, strict=True):
                    results.append(image if isinstance(image, Classified) else self._result(row, next(scores)))
        return results

    def _prepare(self, read: ReadImage, row: ImageRow) -> Any:
        try:
            return self._predictor.prepare(read(row.path))
        except (ImageError, ImageRejected) as error:
            return Classified(error=str(error))

    def _result(self, row: ImageRow, scores: Any) -> Classified:
        top = top_classes(scores, self._predictor.labels, self._top)
        true = self._numbers.get(row.class_name or "")
        if true is None:
            return Classified(top)
        (rank,) = ranks(scores[np.newaxis], np.array([true]))
        return Classified(top, float(scores[true]), int(rank))


def write_classes(folder: Path, body: ClassBody, part: Part) -> PartDone:
    """Classify a part and write its file."""
    import pyarrow

    found = body(part.rows)
    first = [result.top[0] if result.top else (None, None) for result in found]
    columns = {
        "prediction": pyarrow.array([label for label, _ in first], pyarrow.string()),
        "probability": pyarrow.array([probability for _, probability in first], pyarrow.float32()),
        "top_classes": pyarrow.array(
            [[label for label, _ in result.top] or None for result in found], pyarrow.list_(pyarrow.string())
        ),
        "top_probabilities": pyarrow.array(
            [[score for _, score in result.top] or None for result in found], pyarrow.list_(pyarrow.float32())
        ),
        "true_probability": pyarrow.array([result.true_probability for result in found], pyarrow.float64()),
        "true_rank": pyarrow.array([result.true_rank for result in found], pyarrow.int32()),
    }
    errors = [result.error for result in found]
    parquet.write_rows(folder / part.file, part.rows, columns, errors)
    return PartDone(part.file, len(part.rows), sum(error is not None for error in errors))
