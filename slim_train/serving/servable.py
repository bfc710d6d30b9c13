"""What a batcher runs: a predictor, seen from the service."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from datasets import images
from slim_train.errors import UsageError
from slim_train.inference.predictor import ImageError, Predictor
from slim_train.reports.heat_map import encode_jpeg, heat_overlay
from slim_train.serving.errors import RequestError

log = logging.getLogger(__name__)

# Kernels are planned for each batch size; beyond this many, powers of two stand for the sizes between.
_WARM_EACH_SIZE_TO = 8


def cannot_explain(name: str) -> RequestError:
    """Return the error for a model that cannot show where it looks."""
    return RequestError(
        400, f"{name} cannot show where it looks: it has no feature map, or a format without gradients."
    )


class ToExplain(bytes):
    """The body of a request for where the net looks instead of for scores; it goes through the same queue."""


class Servable(Protocol):
    """A loaded model.

    Attributes:
      labels: a name for each score; None for a model whose results are in a form of its own.
    """

    labels: tuple[str, ...] | None

    def prepare(self, data: bytes) -> Any:
        """Return the body of a request as an item of a batch; any thread may call it.

        Raises:
          RequestError: it cannot be one.
        """

    def run(self, batch: list[Any]) -> Sequence[Any]:
        """Return a result for each item: float32 [classes], or whatever a user's model gives."""

    def warm_up(self, max_batch_size: int) -> None:
        """Run once what will be run often, so that the first request is no slower than the rest."""

    def describe(self) -> dict[str, Any]:
        """Return what /models says of it besides its name and version."""

    def close(self) -> None:
        """Release what it holds; nothing runs any more."""


class ServedPredictor:
    """A predictor behind the service.

    Args:
      predictor: closed with this.
      max_megapixels: images beyond are refused before they are decoded.
    """

    def __init__(self, predictor: Predictor, max_megapixels: float) -> None:
        self.labels: tuple[str, ...] | None = predictor.labels
        self._predictor, self._max_megapixels = predictor, max_megapixels
        self._can_explain = predictor.can_explain

    def prepare(self, data: bytes) -> Any:
        """Return an encoded image to float32 [height, width, channels]."""
        check_image_size(data, self._max_megapixels)
        if isinstance(data, ToExplain) and not self._can_explain:
            raise cannot_explain(self._predictor.name)
        try:
            image = self._predictor.prepare(data)
        except ImageError as error:
            raise RequestError(400, f"The image cannot be read: {error}.") from None
        return _Explained(image) if isinstance(data, ToExplain) else image

    def run(self, batch: list[Any]) -> Sequence[Any]:
        """Return the probabilities of the classes, float32 [classes], of each image; a JPEG of those to explain."""
        images = np.stack([item.image if isinstance(item, _Explained) else item for item in batch])
        results: list[Any] = list(self._predictor.scores(images))
        chosen = [index for index, item in enumerate(batch) if isinstance(item, _Explained)]
        if chosen:
            try:
                heats = self._predictor.heat(images[chosen], [int(results[index].argmax()) for index in chosen])
            except UsageError as error:
                raise RequestError(400, str(error)) from None
            for index, heat in zip(chosen, heats, strict=True):
                results[index] = encode_jpeg(heat_overlay(images[index], heat))
        return results

    def warm_up(self, max_batch_size: int) -> None:
        """Decode an image, run every batch size that is common, and explain one image."""
        image = self._predictor.prepare(plain_image(*self._predictor.image_size))
        for size in _warm_sizes(max_batch_size):
            self.run([image] * size)
        if self._can_explain:
            # The first heat adds ops to the graph, for which other requests would wait.
            try:
                self._predictor.heat(np.stack([image]), [0])
            except UsageError as error:
                self._can_explain = False
                log.info("%s", error)

    def describe(self) -> dict[str, Any]:
        """Return the net's name, image size and labels."""
        height, width = self._predictor.image_size
        return {
            "net": self._predictor.name,
            "height": height,
            "width": width,
            "channels": self._predictor.channels,
            "labels": self._predictor.labels,
            "explains": self._can_explain,
        }

    def close(self) -> None:
        """Close the predictor's session."""
        self._predictor.close()


@dataclass(frozen=True)
class _Explained:
    """A decoded image of a ToExplain."""

    image: Any


def check_image_size(data: bytes, max_megapixels: float) -> None:
    """Refuse an image whose header announces too many pixels. What is no image passes: decoding will tell.

    Raises:
      RequestError: 413.
    """
    try:
        height, width = images.size_of(data)
    except images.ImageRejected as rejected:
        if rejected.reason == images.TOO_LARGE:
            raise RequestError(413, f"The image is too large: at most {max_megapixels:g} megapixels.") from None
        return
    megapixels = height * width / 1e6
    if megapixels > max_megapixels:
        raise RequestError(
            413, f"The image has {megapixels:.0f} megapixels, which is too large: at most {max_megapixels:g}."
        )


def plain_image(height: int, width: int) -> bytes:
    """Return a grey JPEG."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (127, 127, 127)).save(buffer, "JPEG")
    return buffer.getvalue()


def _warm_sizes(max_batch_size: int) -> Iterator[int]:
    yield from range(1, min(max_batch_size, _WARM_EACH_SIZE_TO) + 1)
    size = 2 * _WARM_EACH_SIZE_TO
    while size < max_batch_size:
        yield size
        size *= 2
    if max_batch_size > _WARM_EACH_SIZE_TO:
        yield max_batch_size
