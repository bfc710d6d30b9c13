"""The story of classify_images: images to Parquet files of classes, here or on Spark, and the metrics."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from datasets.files import replacing
from deployment.threads import available_cpus
from slim_train import config
from slim_train.bulk import kinds, parquet
from slim_train.bulk.classes import ClassBody, class_numbers, write_classes
from slim_train.bulk.classify_options import ClassifyOptions
from slim_train.bulk.engine import missing_parts, write_parts
from slim_train.bulk.image_rows import list_images
from slim_train.bulk.parts import CLASSES, WritePart
from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.errors import RunError
from slim_train.evaluation.metrics import ClassificationMetrics, ClassificationReport
from slim_train.inference.label_image import open_classifier
from slim_train.inference.options import ClassifierOptions
from slim_train.inference.predictor import newest_saved_model

log = logging.getLogger(__name__)

METRICS_FILE = "_metrics.json"
_PATHS = ("graph", "saved_model_dir", "train_dir", "labels")


@dataclasses.dataclass(frozen=True)
class ClassifyReport:
    """The result of a classification.

    Attributes:
      folder: of the predictions.
      images: number of images in it.
      computed: number of them that this run classified.
      rejected: of these, the number that cannot be used; their rows have an ``error``.
      metrics: over all images whose class the classifier knows; None if there are none.
      seconds: duration of the computation.
    """

    folder: Path
    images: int
    computed: int
    rejected: int
    metrics: ClassificationReport | None
    seconds: float

    def __str__(self) -> str:
        rate = f", {self.computed / self.seconds:.1f} images/s" if self.computed and self.seconds else ""
        accuracy = f" Accuracy {self.metrics.accuracy:.1%} of {self.metrics.images:,}." if self.metrics else ""
        return (
            f"{self.folder}: {self.images:,} images, {self.computed:,} classified now{rate}, {self.rejected:,} of "
            f"these rejected.{accuracy}"
        )


def classify(options: ClassifyOptions) -> ClassifyReport:
    """Classify the images that are missing in the output folder.

    Raises:
      UsageError: a flag is wrong, or images, classifier and folder do not fit.
      DataError: class folders or records cannot be read.
      RunError: none of the images can be used, or the cluster failed.
    """
    options.check()
    parquet.pyarrow_ready()
    wanted = options.predictions
    folder = Path(wanted.predictions_dir or "").absolute()
    images = list_images(options.images)
    given = _absolute(options.classifier)
    began = time.monotonic()
    with open_classifier(given) as predictor:
        labels = predictor.labels
        facts = {
            "model": predictor.name,
            "identity": _identity(given),
            "labels": list(labels),
            "top": wanted.top,
            "images": images.root,
            "classes": list(images.classes),
        }
        parquet.prepare_folder(folder, facts, wanted.overwrite, "predictions_dir")
        parts = missing_parts(folder, images, wanted.images_per_file)
        missing = sum(len(part.rows) for part in parts)
        log.info("%s images, %s to classify.", f"{len(images.rows):,}", f"{missing:,}")

        @contextlib.contextmanager
        def local() -> Iterator[WritePart]:
            body = ClassBody(predictor, images.opener(), images.classes, wanted.top, available_cpus())
            yield lambda part: write_classes(folder, body, part)

        def write_model(job: Path) -> None:
            kinds.write_classifier(job, given, images.classes, wanted.top)

        began = time.monotonic()
        done = write_parts(options.spark, folder, parts, CLASSES, images.opener(), write_model, local)
    seconds, rejected = time.monotonic() - began, sum(part.rejected for part in done)
    if done and rejected == len(images.rows):
        raise RunError(f"None of the {rejected:,} images can be used; column error in {folder} says why.")
    stored, metrics = _metrics(folder, labels, images.classes)
    if metrics:
        _write_metrics(folder / METRICS_FILE, metrics, labels)
    report = ClassifyReport(folder, stored, missing, rejected, metrics, seconds)
    log.info("%s", report)
    return report


def _absolute(options: ClassifierOptions) -> ClassifierOptions:
    """Return the flags with paths that are the same in every process."""
    given = {name: getattr(options, name) for name in _PATHS}
    return config.with_values(options, {name: str(Path(value).absolute()) for name, value in given.items() if value})


def _identity(options: ClassifierOptions) -> str:
    """Return a digest of the files of a classifier, and of the flags that describe it."""
    path = Path(options.graph or options.saved_model_dir or options.train_dir or "")
    saved_model = newest_saved_model(path)
    if path.is_file():
        files = [path]
    elif saved_model:
        files = [file for file in saved_model.rglob("*") if file.is_file()]
    else:
        checkpoint = Path(resolve_checkpoint(str(path)))
        files = list(checkpoint.parent.glob(f"{checkpoint.name}*"))
    flags = {name: value for name, value in _values(options).items() if name not in _PATHS}
    digest = hashlib.blake2b(json.dumps(flags, sort_keys=True).encode(), digest_size=16)
    for file in sorted(files):
        digest.update(hashlib.blake2b(file.read_bytes()).digest())
    return digest.hexdigest()


def _values(options: ClassifierOptions) -> dict[str, Any]:
    return {spec.name: spec.default for spec in config.flag_specs(options)}


def _metrics(
    folder: Path, labels: tuple[str, ...], classes: tuple[str, ...]
) -> tuple[int, ClassificationReport | None]:
    """Return the number of images, and the metrics of those with a class that the classifier knows."""
    import pyarrow.parquet

    number, true_number = {label: index for index, label in enumerate(labels)}, class_numbers(labels, classes)
    metrics, stored = ClassificationMetrics(len(labels)), 0
    for file in parquet.part_files(folder):
        table = pyarrow.parquet.read_table(
            file, columns=["class", "prediction", "true_probability", "true_rank"]
        ).to_pylist()
        stored += len(table)
        rows = [row for row in table if row["true_rank"] is not None]
        if rows:
            metrics.count(
                np.array([true_number[row["class"]] for row in rows]),
                np.array([number[row["prediction"]] for row in rows]),
                np.array([row["true_rank"] for row in rows]),
                np.array([row["true_probability"] for row in rows]),
            )
    return stored, metrics.report() if metrics.images else None


def _write_metrics(path: Path, metrics: ClassificationReport, labels: tuple[str, ...]) -> None:
    figures = {
        "images": metrics.images,
        **metrics.headline(),
        "balanced_accuracy": metrics.balanced_accuracy,
        "macro": metrics.macro._asdict(),
        "weighted": metrics.weighted._asdict(),
        "per_class": [
            {
                "label": label,
                "images": int(metrics.support[index]),
                "precision": float(metrics.precision[index]),
                "recall": float(metrics.recall[index]),
                "f1": float(metrics.f1[index]),
            }
            for index, label in enumerate(labels)
        ],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
