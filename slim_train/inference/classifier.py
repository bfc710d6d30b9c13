"""A classifier for Python programs: images of any kind in, labels with probabilities out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.images import ImageRejected, encode_image
from datasets.storage import path_of
from slim_train.errors import UsageError
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import BATCH_SIZE, ImageError, Predictor, load_predictor, top_classes
from slim_train.reports.heat_map import heat_overlay


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a classifier says of an image.

    Attributes:
      label: the most probable class.
      probability: of that class.
      top: (class, probability) of the most probable classes, best first.
      probabilities: of all classes, float32 [C].
    """

    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    probabilities: NDArray[np.float32] = dataclasses.field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as plain values."""
        labels = [{"label": label, "probability": probability} for label, probability in self.top]
        return {"label": self.label, "probability": self.probability, "top": labels}


class Classifier:
    """A trained or exported classifier; a context manager that releases it. Threads may share one.

    Attributes:
      name: of the net, or of the file it was read from.
      labels: a name for each class.
    """

    def __init__(self, predictor: Predictor) -> None:
        """Made by :func:`load_classifier`."""
        self._predictor, self._is_closed = predictor, False
        self.name, self.labels = predictor.name, predictor.labels

    def predict(self, images: Any, top: int = 5) -> list[Prediction]:
        """Classify images.

        Args:
          images: one image or a sequence of them. An image is a path, encoded bytes, a PIL image, or a uint8 array
            [height, width], [height, width, 1] or [height, width, 3].
          top: how many classes each prediction lists.

        Raises:
          UsageError: an image is of another kind, or cannot be read; the message names the file or the index. Or the
            classifier is closed.
        """
        self._check_open()
        if not isinstance(top, int) or top < 1:
            raise UsageError(f"top={top!r} must be a whole number of at least 1.")
        given = [images] if _is_one(images) else images
        if not isinstance(given, Iterable):
            raise UsageError(f"predict() takes an image or several, not {type(images).__name__}.")
        return list(self._predict(given, top))

    def explain(self, image: Any) -> Image.Image:
        """Return where the net looks, by Grad-CAM: what it sees of an image, under the heat of its likeliest class.

        Yellow speaks the most for the class, dark blue not at all.

        Args:
          image: one image, of any kind that :meth:`predict` takes.

        Raises:
          UsageError: the image cannot be read, the net has no feature map, or the classifier is closed.
        """
        self._check_open()
        if not _is_one(image):
            raise UsageError(f"explain() takes one image, not {type(image).__name__}.")
        batch = np.stack([self._prepare(0, image)])
        heat = self._predictor.heat(batch, [int(self._predictor.scores(batch)[0].argmax())])
        return heat_overlay(batch[0], heat[0])

    def _check_open(self) -> None:
        if self._is_closed:
            raise UsageError("The classifier is closed: use it inside of its 'with' block, or load it again.")

    def _predict(self, images: Iterable[Any], top: int) -> Iterator[Prediction]:
        batch: list[Any] = []
        for index, image in enumerate(images):
            batch.append(self._prepare(index, image))
            if len(batch) == BATCH_SIZE:
                yield from self._answers(batch, top)
                batch.clear()
        yield from self._answers(batch, top)

    def _prepare(self, index: int, image: Any) -> Any:
        name = str(image) if isinstance(image, str | os.PathLike) else f"Image {index}"
        try:
            return self._predictor.prepare(_encoded(image))
        except OSError as error:
            raise UsageError(f"{name} cannot be read: {error.strerror or error}.") from error
        except (ImageError, ImageRejected, TypeError, ValueError) as error:
            raise UsageError(f"{name} cannot be read: {error}.") from error

    def _answers(self, batch: Sequence[Any], top: int) -> Iterator[Prediction]:
        if not batch:
            return
        for scores in self._predictor.scores(np.stack(batch)):
            best = top_classes(scores, self.labels, top)
            yield Prediction(*best[0], best, scores)

    def close(self) -> None:
        """Release the model."""
        self._is_closed = True
        self._predictor.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_classifier(path: str | Path, given: ModelOverrides | None = None) -> Classifier:
    """Load a classifier; see :func:`slim_train.inference.predictor.load_predictor`."""
    return Classifier(load_predictor(path, given))


def _is_one(images: Any) -> bool:
    return isinstance(images, str | os.PathLike | bytes | Image.Image) or (
        isinstance(images, np.ndarray) and images.ndim < 4
    )


def _encoded(image: Any) -> bytes:
    """Return the bytes of a file. Pixels become a PNG, which loses nothing, so that all images take the same way."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        return path_of(image).read_bytes()
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
            raise TypeError(
                f"an array must be uint8 [height, width], [height, width, 1] or [height, width, 3], not {image.dtype} "
                f"{list(image.shape)}"
            )
        image = Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    if not isinstance(image, Image.Image):
        raise TypeError(f"it must be a path, bytes, a PIL image or an array, not {type(image).__name__}")
    return encode_image(image).data
