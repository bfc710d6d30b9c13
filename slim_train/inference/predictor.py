"""A classifier, exported or trained, that is ready to answer: encoded images in, probabilities out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from datasets.images import ImageRejected, normalise
from datasets.storage import path_of
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.find import is_complete, newest_checkpoint
from slim_train.errors import UsageError
from slim_train.inference import loaders
from slim_train.inference.grad_cam import HeatFunction, heat_function, last_spatial
from slim_train.inference.loaders import LoadedModel
from slim_train.inference.onnx_model import load_onnx
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.tflite_model import load_tflite
from slim_train.tf_compat import tf

# Images that a session takes at once.
BATCH_SIZE = 32

FloatArray = NDArray[np.float32]

# By the ending of the file; a folder of several is taken for the first kind that it holds.
_FILES = {
    ".pb": loaders.load_frozen,
    ".onnx": load_onnx,
    ".keras": loaders.load_trained,
    ".tflite": load_tflite,
    ".safetensors": loaders.load_trained,
}
_KINDS = (
    "SavedModel, frozen graph (.pb), ONNX model (.onnx), Keras model (.keras), TFLite model (.tflite), PyTorch weights "
    "(.safetensors)"
)


class ImageError(ValueError):
    """Bytes that are no image, or not one that can be read; the message says why."""


class Predictor:
    """A classifier in a graph and a session of its own. Any number of threads may use one at the same time.

    Attributes:
      name: of the net, or of the file it was read from.
      labels: a name for each score.
      image_size: height and width in pixels that the net takes.
      channels: color channels that it takes.
    """

    def __init__(self, model: LoadedModel) -> None:
        """Made by :func:`load_predictor`."""
        self.name = model.name
        self.labels = model.labels
        self.image_size = model.image_size
        self.channels = model.channels
        # Recipes look at 87.5% of each side: what is resized to the net's size then is still large enough.
        height, width = (side * 8 // 7 + 1 for side in model.image_size)
        self._target = (height, width) if model.scaled_decoding else None
        self._model = model
        self._heat: HeatFunction | None = None
        self._heat_lock = threading.Lock()

    def prepare(self, data: bytes) -> FloatArray:
        """Decode an image of any kind that conversion reads, and preprocess it as in evaluation.

        Returns:
          float32 [height, width, channels] as :meth:`scores` takes it: 0..255 for what was trained or exported with
          slim-train, which scales by itself, else less ``input_mean`` and divided by ``input_std``.

        Raises:
          ImageError: the bytes are no whole image, or one of more than 178 megapixels.
        """
        try:
            return self._model.decode(normalise(data, self._target).data)
        except ImageRejected as error:
            raise ImageError(str(error)) from None
        except tf.errors.InvalidArgumentError as error:
            raise ImageError(f"TensorFlow cannot decode it: {error.message}") from None

    def scores(self, batch: FloatArray) -> FloatArray:
        """Return the probabilities of the classes, float32 [N, classes], for float32 [N, height, width, channels]."""
        if not len(batch):
            return np.zeros((0, len(self.labels)), np.float32)
        return self._model.score(batch).reshape(len(batch), len(self.labels))

    def predict(self, images: Sequence[bytes]) -> FloatArray:
        """Return the probabilities of the classes, float32 [N, classes], for encoded images.

        Raises:
          ImageError: one of them cannot be read.
        """
        scores = np.zeros((len(images), len(self.labels)), np.float32)
        for begin in range(0, len(images), BATCH_SIZE):
            end = begin + BATCH_SIZE
            scores[begin:end] = self.scores(np.stack([self.prepare(data) for data in images[begin:end]]))
        return scores

    @property
    def can_explain(self) -> bool:
        """Whether TensorFlow computes the net, and it has a feature map for :meth:`heat`."""
        return self._model.image is not None and last_spatial(self._model.image, self._model.scores) is not None

    def heat(self, batch: FloatArray, classes: Sequence[int]) -> FloatArray:
        """Return where the net looks to see a class in each image, by Grad-CAM.

        Args:
          batch: float32 [N, height, width, channels] as :meth:`scores` takes it.
          classes: indices into ``labels``, one for each image.

        Returns:
          float32 [N, rows, columns] of the last feature map, 0 or more; it covers the whole image.

        Raises:
          UsageError: the net has no feature map with more than one place, or TensorFlow does not compute it.
        """
        if self._model.image is None:
            raise UsageError(
                f"--explain: {self.name} is not in a format with gradients: use the training folder, the SavedModel or "
                "the frozen graph."
            )
        with self._heat_lock:
            if self._heat is None:
                model = self._model
                self._heat = heat_function(model.session, model.image, model.scores, self.name)
        return self._heat(batch, np.asarray(classes, np.int64))

    def close(self) -> None:
        """Release the session."""
        self._model.session.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def top_classes(scores: FloatArray, labels: Sequence[str], top: int) -> tuple[tuple[str, float], ...]:
    """Return (class, probability) of the ``top`` most probable classes, best first, of scores [classes]."""
    order = np.argsort(-scores, kind="stable")[:top]
    return tuple((labels[index], float(scores[index])) for index in order)


def load_predictor(path: str | Path, given: ModelOverrides | None = None) -> Predictor:
    """Load a classifier from whatever holds one.

    Args:
      path: a SavedModel, or a folder with numbered ones of which the newest is taken; a frozen graph (.pb), or an ONNX
        (.onnx), Keras (.keras) or TFLite (.tflite) model, or a folder with a single one; a training folder, whose
        newest checkpoint is taken, moving averages if it holds them; a checkpoint.
      given: what overrides the files.

    Raises:
      UsageError: there is no classifier at ``path``, or an override is missing or wrong; the message says which.
      RunError: a checkpoint does not fit its net.
    """
    return Predictor(_load(path_of(path), given or ModelOverrides()))


def newest_saved_model(path: Path) -> Path | None:
    """``path`` if it is a SavedModel, else the newest of the numbered ones in it or in its folder ``saved_model``.

    None if there is no such, and in a training folder, which stands for its newest checkpoint.
    """
    found = _newest_saved_model(path)
    # Asked last: to look for a checkpoint is to open it, and services look every few seconds.
    return None if found and _is_training_folder(path) else found


def _newest_saved_model(path: Path) -> Path | None:
    if (path / "saved_model.pb").is_file():
        return path
    for folder in (path, path / "saved_model"):
        for version in sorted(_numbered(folder), key=lambda version: int(version.name), reverse=True):
            if (version / "saved_model.pb").is_file():
                return version
    return path / "saved_model" if (path / "saved_model" / "saved_model.pb").is_file() else None


def _numbered(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name.isdecimal()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _load(path: Path, given: ModelOverrides) -> LoadedModel:
    saved_model = newest_saved_model(path)
    if saved_model:
        return loaders.load_saved_model(saved_model, given)
    if path.suffix in _FILES and path.is_file():
        return _FILES[path.suffix](path, given)
    if not path.exists() and not is_complete(str(path)):
        raise UsageError(f"{path} does not exist: there is no {_KINDS} or checkpoint of that name.")
    if path.is_dir() and not (path / training_folder.CONFIG).is_file() and not newest_checkpoint(path):
        files = next(filter(None, (sorted(path.glob(f"*{ending}")) for ending in _FILES)), [])
        if len(files) > 1:
            raise UsageError(f"{path} holds several models, {', '.join(file.name for file in files)}: name one.")
        if not files:
            raise UsageError(f"{path} holds no classifier: no {_KINDS} or checkpoint.")
        return _FILES[files[0].suffix](files[0], given)
    return loaders.load_trained(path, given)


def _is_training_folder(path: Path) -> bool:
    return (path / training_folder.CONFIG).is_file() and newest_checkpoint(path) is not None
