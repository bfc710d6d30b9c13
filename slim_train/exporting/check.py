"""The check of an export: each file's answers against the checkpoint's, on the same images."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets import images
from datasets.errors import DataError
from datasets.factory import get_dataset
from datasets.record_files import find_any_record_files
from datasets.spec import INFO_FILE, DatasetSpec, read_info
from datasets.storage import path_of
from datasets.tfrecords import scan_images
from slim_train.evaluation.metrics import log_softmax
from slim_train.inference.loaders import SERVING
from slim_train.inference.onnx_model import OnnxModel, whole_pixels
from slim_train.inference.tflite_model import TfliteModel
from slim_train.inference.trained_model import PIXELS, SCORES, TrainedModel
from slim_train.interchange import torch_run
from slim_train.tf_compat import keras_3, tf

log = logging.getLogger(__name__)

_SEED = 0


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far answers are from the checkpoint's.

    Attributes:
      largest: of a probability.
      same_best: images whose likeliest class is the same.
      pictures: how many there were.
    """

    largest: float
    same_best: int
    pictures: int


def compare(answers: NDArray[np.float32], expected: NDArray[np.float32]) -> Difference:
    """Return the difference between two arrays of probabilities, [images, classes] each."""
    same_best = int((answers.argmax(axis=1) == expected.argmax(axis=1)).sum())
    return Difference(float(np.abs(answers - expected).max()), same_best, len(expected))


class Reference:
    """The answers of the checkpoint itself, its variables restored as evaluation does.

    With a temperature they are computed from the logits by numpy, and not as the exported graph does.

    Attributes:
      encoded: the images.
      pixels: the images decoded, float32 [N, height, width, channels].
      scores: the probabilities, float32 [N, classes].
    """

    def __init__(self, trained: TrainedModel, encoded: Sequence[bytes]) -> None:
        self.encoded, self._trained = list(encoded), trained
        with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
            one = tf.placeholder(tf.string, [])
            decoded = trained.decode(one)
            self.pixels = np.stack([session.run(decoded, {one: data}) for data in self.encoded])
        self.scores = self._scores(self.pixels)

    @functools.cached_property
    def scores_of_whole(self) -> NDArray[np.float32]:
        """The probabilities of the pixels rounded to whole numbers, which formats that take bytes get."""
        return self._scores(whole_pixels(self.pixels).astype(np.float32))

    def _scores(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
            images, logits = self._trained.build_logits()
            scores = tf.nn.softmax(logits)
            self._trained.restore(session)
            answers, values = session.run([scores, logits], {images: pixels})
        if self._trained.temperature is not None:
            answers = np.exp(log_softmax(values / self._trained.temperature)).astype(np.float32)
        return answers

    def check_saved_model(self, folder: Path) -> Difference:
        """Compare the signature serving_default of a SavedModel."""
        with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
            signature = tf.saved_model.loader.load(session, ["serve"], str(folder)).signature_def[SERVING]
            encoded, scores = signature.inputs["image_bytes"].name, signature.outputs["scores"].name
            return compare(session.run(scores, {encoded: self.encoded}), self.scores)

    def check_frozen(self, path: Path) -> Difference:
        """Compare a frozen graph."""
        graph_def = tf.GraphDef.FromString(path.read_bytes())
        with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
            tf.graph_util.import_graph_def(graph_def, name="")
            return compare(session.run(f"{SCORES}:0", {f"{PIXELS}:0": self.pixels}), self.scores)

    def check_onnx(self, path: Path) -> Difference:
        """Compare an ONNX model, by onnxruntime. If it takes whole pixels, so does the checkpoint."""
        model = OnnxModel(path)
        if model.takes_bytes:
            return compare(model.score(whole_pixels(self.pixels)), self.scores_of_whole)
        return compare(model.score(self.pixels), self.scores)

    def check_keras(self, path: Path) -> Difference:
        """Compare a Keras model, loaded as others load it."""
        model = keras_3().saving.load_model(path, compile=False)
        model.compile(jit_compile=False)  # XLA would take minutes over a large net.
        return compare(model.predict(self.pixels, verbose=0), self.scores)

    def check_torch(self, path: Path) -> Difference | None:
        """Compare PyTorch weights, by timm. None if PyTorch or timm is not installed."""
        if not torch_run.can_run():
            log.info("PyTorch weights are compared only if torch and timm are installed.")
            return None
        return compare(torch_run.scores(path, self.pixels), self.scores)

    def check_tflite(self, path: Path) -> Difference:
        """Compare a TFLite model. If it takes whole pixels, so does the checkpoint."""
        model = TfliteModel(path)
        return compare(model.score(self.pixels), self.scores_of_whole if model.takes_bytes else self.scores)


def images_of_data_set(name: str | None, dataset_dir: str | None, count: int) -> list[bytes]:
    """The first encoded images of a data set, of a split not trained on where it has one; none where it is gone."""
    if dataset_dir is None:
        return []
    try:
        dataset = _open_unseen(name, dataset_dir)
        return list(islice(scan_images(dataset.files, dataset.records.image_key), count))
    except (DataError, ValueError, KeyError) as error:
        log.info("No images of the data set to compare with: %s", error)
        return []


def _open_unseen(name: str | None, dataset_dir: str) -> DatasetSpec:
    """Open a split that is not trained on, else the first that there is."""
    splits = _split_names(path_of(dataset_dir))
    if not splits:
        raise DataError(f"{dataset_dir} holds no split.")
    unseen = next((split for split in ("validation", "test") if split in splits), splits[0])
    return get_dataset(name, unseen, dataset_dir)


def _split_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    is_described = (folder / INFO_FILE).is_file()
    return list(read_info(folder).splits) if is_described else [split for _, split in find_any_record_files(folder)]


def made_images(count: int) -> list[bytes]:
    """PNGs with soft patches of color, the same every time."""
    random = np.random.default_rng(_SEED)
    patches = random.integers(0, 256, (count, 3, 8, 8), np.uint8)
    return [
        images.encode_planes(np.kron(planes, np.ones((1, 32, 32), np.uint8)).tobytes(), 256, 256, 3).data
        for planes in patches
    ]
