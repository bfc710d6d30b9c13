"""The story of classify_images: images to Parquet files of classes, here or on Spark, and the metrics."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from datasets.files import replacing
from datasets.storage import files_below, path_of
from deployment.threads import available_cpus
from slim_train import config
from slim_train.bulk import kinds, parquet
from slim_train.bulk.classes import ClassBody, class_numbers, write_classes
from slim_train.bulk.classify_options import ClassifyOptions
from slim_train.bulk.csv_file import write_csv
from slim_train.bulk.engine import write_missing
from slim_train.bulk.listing import list_images
from slim_train.bulk.output_folder import worked_on_here
from slim_train.bulk.parts import CLASSES, WritePart
from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.evaluation.metrics import ClassificationMetrics, ClassificationReport
from slim_train.inference.label_image import open_classifier
from slim_train.inference.options import ClassifierOptions
from slim_train.inference.predictor import newest_saved_model
from slim_train.retraining.modules import files_digest

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
    folder = options.predictions.predictions_dir or ""
    with worked_on_here(folder, "predictions_dir") as here:
        report = _classify_into(here, options)
    report = dataclasses.replace(report, folder=path_of(folder).absolute())
    log.info("%s", report)
    return report


def _classify_into(folder: Path, options: ClassifyOptions) -> ClassifyReport:
    wanted = options.predictions
    images = list_images(options.images, options.spark.runs_on_spark)
    given = _absolute(options.classifier)
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

        @contextlib.contextmanager
        def local() -> Iterator[WritePart]:
            body = ClassBody(predictor, images.opener(), images.classes, wanted.top, available_cpus())
            yield lambda part: write_classes(folder, body, part)

        def write_model(job: Path) -> None:
            kinds.write_classifier(job, given, images.classes, wanted.top)

        written = write_missing(
            options.spark, folder, images, wanted.images_per_file, CLASSES, "{} to classify", write_model, local
        )
    stored, metrics = _metrics(folder, labels, images.classes)
    if metrics:
        _write_metrics(folder / METRICS_FILE, metrics, labels)
    if wanted.csv_file:
        write_csv(path_of(wanted.csv_file), folder, wanted.top)
    return ClassifyReport(folder, stored, written.computed, written.rejected, metrics, written.seconds)


def _absolute(options: ClassifierOptions) -> ClassifierOptions:
    """Return the flags with paths that are the same in every process."""
    given = {name: getattr(options, name) for name in _PATHS}
    return config.with_values(options, {name: str(path_of(value).absolute()) for name, value in given.items() if value})


def _identity(options: ClassifierOptions) -> str:
    """Return a digest of the files of a classifier, and of the flags that describe it."""
    path = path_of(options.graph or options.saved_model_dir or options.train_dir or "")
    saved_model = newest_saved_model(path)
    if path.is_file():
        files = [path]
    elif saved_model:
        files = files_below(saved_model)
    else:
        checkpoint = path_of(resolve_checkpoint(str(path)))
        files = list(checkpoint.parent.glob(f"{checkpoint.name}*"))
    flags = {spec.name: spec.default for spec in config.flag_specs(options) if spec.name not in _PATHS}
    return files_digest(sorted(flags.items()), files)


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
