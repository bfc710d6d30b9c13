"""What full-integer quantization needs: images that show the range of activations, and the accuracy that it costs."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.foreign import RecordsAsTold
from datasets.images import ImageRejected, normalise
from datasets.spec import DatasetSpec
from datasets.storage import path_of
from datasets.tfrecords import scan_images
from slim_train.checkpoints import training_folder
from slim_train.errors import RunError, UsageError
from slim_train.evaluation.evaluate import Evaluator
from slim_train.exporting.options import ExportOptions
from slim_train.inference.image_files import find_images
from slim_train.inference.tflite_model import TfliteModel
from slim_train.inference.trained_model import TrainedModel
from slim_train.inputs.data_set import open_split
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

FORMAT = "tflite_int8_full"
_BATCH_SIZE = 32
_MARKS_A_PATH = frozenset("/\\*?,.")


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """The accuracy of a file beside that of the checkpoint.

    Attributes:
      split: that both were evaluated on.
      images: of the split.
      checkpoint: its accuracy, 0..1.
      exported: of the file.
    """

    split: str
    images: int
    checkpoint: float
    exported: float

    def __str__(self) -> str:
        return f"accuracy on {self.split}: {self.checkpoint:.2%} before, {self.exported:.2%} after"


@dataclasses.dataclass(frozen=True)
class Quantization:
    """A quantization that can begin: its data is there.

    Attributes:
      trained: what is quantized.
      images: encoded images that show the range of activations.
      dataset: the split to measure the accuracy on; None measures none.
      max_accuracy_drop: of the accuracy, 0..1.
    """

    trained: TrainedModel
    images: tuple[bytes, ...]
    dataset: DatasetSpec | None
    max_accuracy_drop: float

    def pixels(self) -> list[NDArray[np.float32]]:
        """Return the images as evaluation sees them, float32 [height, width, channels] in 0..255 each."""
        with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
            encoded = tf.placeholder(tf.string, [])
            decode = session.make_callable(self.trained.decode(encoded), [encoded])
            return [decode(data) for data in self.images]

    def measure(self, path: Path) -> Accuracy | None:
        """Return the accuracy of a TFLite model and of the checkpoint, each on the same decoded images.

        Raises:
          RunError: it drops by more than is allowed.
        """
        if self.dataset is None:
            return None
        model, right = TfliteModel(path), 0
        with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
            encoded = tf.placeholder(tf.string, [None])
            pixels = tf.map_fn(self.trained.decode, encoded, fn_output_signature=tf.float32)
            decode = session.make_callable(pixels, [encoded])

            def visit(batch: dict[str, Any], logits: Any) -> None:
                nonlocal right
                right += int((model.score(decode(batch["encoded"])).argmax(axis=1) == batch["label"]).sum())

            spec, averages = self.trained.spec, self.trained.use_averages
            with Evaluator(self.dataset, spec, _BATCH_SIZE, averages) as evaluator:
                before = evaluator.evaluate(self.trained.checkpoint, visit).report()
        accuracy = Accuracy(self.dataset.split_name, before.images, before.accuracy, right / before.images)
        # Both are counts over the same images: what is no more than a rounding of their difference is none.
        if accuracy.checkpoint - accuracy.exported > self.max_accuracy_drop + 1e-9:
            raise RunError(
                f"--formats={FORMAT} costs too much: {accuracy}, a drop of more than "
                f"--max_accuracy_drop={self.max_accuracy_drop:g}. Nothing was exported. Use more "
                "--representative_images, or another format."
            )
        return accuracy


def prepare(trained: TrainedModel, options: ExportOptions) -> Quantization | None:
    """Return the quantization that is asked for; None if the format is not.

    Raises:
      UsageError: a flag is missing, or names no image or no split.
      DataError: a data set is missing or damaged.
    """
    wanted = options.quantization
    if FORMAT not in options.result.wanted_formats():
        for name in ("representative_images", "check_accuracy"):
            if getattr(wanted, name):
                raise UsageError(f"--{name} applies only to --formats={FORMAT}.")
        return None
    if not wanted.representative_images:
        raise UsageError(
            f"--formats={FORMAT} requires --representative_images: a folder of images that the net was trained on, or "
            "the name of a split, such as train."
        )
    images = _images(trained, options)
    log.info("The ranges of activations are those of %d images of %s.", len(images), wanted.representative_images)
    dataset = _open(trained, options, "check_accuracy", wanted.check_accuracy) if wanted.check_accuracy else None
    return Quantization(trained, tuple(images), dataset, wanted.max_accuracy_drop)


def _images(trained: TrainedModel, options: ExportOptions) -> list[bytes]:
    wanted = options.quantization
    name, count = wanted.representative_images or "", wanted.num_representative_images
    if _MARKS_A_PATH & set(name) or path_of(name).exists():
        return [
            read_image("representative_images", path)
            for path in spread(find_images("representative_images", name), count)
        ]
    dataset = _open(trained, options, "representative_images", name)
    # The same number of each file: files of other tools may be sorted by class.
    per_file = -(-count // len(dataset.files))
    images = [
        data for file in dataset.files for data in islice(scan_images([file], dataset.records.image_key), per_file)
    ]
    return spread(images, count)


def _open(trained: TrainedModel, options: ExportOptions, flag: str, split: str) -> DatasetSpec:
    """Return a split of the data set that is named, or that the net was trained on."""
    training = training_folder.read_options(trained.folder)
    data = training.data if training else None
    dataset_dir = options.source.dataset_dir or (data.dataset_dir if data else None)
    if dataset_dir is None:
        raise UsageError(f"--{flag}={split} names a split: give --dataset_dir, the folder of the data set.")
    labels = training_folder.trained_labels(trained.folder)
    told = (
        RecordsAsTold.of(data, trained_classes=labels) if data and not options.source.dataset_dir else RecordsAsTold()
    )
    dataset = open_split(options.source.dataset_name, split, dataset_dir, flag, told)
    training_folder.check_labels(trained.folder, dataset.labels)
    return dataset


def read_image(flag: str, path: Path) -> bytes:
    """Return an image file as JPEG or PNG.

    Raises:
      UsageError: it cannot be read; the message names ``flag``.
    """
    try:
        return normalise(path.read_bytes()).data
    except (OSError, ImageRejected) as error:
        raise UsageError(f"--{flag}: cannot read {path}: {error}.") from error


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Return at most ``count`` items, evenly spread over all: files are sorted by class."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]
