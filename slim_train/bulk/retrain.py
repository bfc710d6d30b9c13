"""The story of retrain on features that are there, or on a cluster: features, a last layer, the files of retrain."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.class_folders import FolderReader
from datasets.images import ImageRejected
from datasets.sources import TRAIN, ImageSource
from datasets.storage import fault_of, shown
from slim_train import config
from slim_train.bulk.extract import extract
from slim_train.bulk.feature_table import FeatureTable
from slim_train.bulk.frozen_net import FEATURES
from slim_train.bulk.options import ExtractOptions
from slim_train.bulk.penalty import fit_with_best_penalty
from slim_train.errors import UsageError
from slim_train.evaluation.metrics import ClassificationMetrics, predict
from slim_train.retraining import output, report
from slim_train.retraining import run as local
from slim_train.retraining.head import HeadWeights, Score
from slim_train.retraining.image_features import ImageFiles
from slim_train.retraining.modules import FeatureModule, load_module
from slim_train.retraining.options import ModuleOptions, RetrainOptions
from slim_train.retraining.split import TESTING, TRAINING, VALIDATION, Split
from slim_train.retraining.train import Evaluation

log = logging.getLogger(__name__)

_TRAINING_SAMPLE = 10_000  # images of the training accuracy


def run(options: RetrainOptions) -> report.RetrainReport:
    """Train a last layer on features, by Spark ML if a cluster is named, and write the classifier.

    Raises:
      UsageError: a flag is wrong, or net, features and images do not belong together.
      ClusterError: pyspark or Java is missing, or the cluster cannot be reached.
      RunError: training diverged, or the cluster failed.
    """
    began = time.monotonic()
    output.check(options.output)
    if not options.spark.runs_on_spark:
        table = FeatureTable(Path(options.features.features or ""), FEATURES)
        parts = _prepared(options, table)
        seconds = {"features": time.monotonic() - began}
        return local.train_and_write(*parts, table.vectors(), table.labels, seconds)
    from slim_train.bulk.local_spark import net_session, worker_parent
    from slim_train.bulk.parts import FEATURES as OF_FEATURES

    with (
        contextlib.nullcontext() if options.features.features else worker_parent(options.spark, OF_FEATURES) as parent,
        net_session(options.spark, "retrain", parent, needs_sql=True) as session,
    ):
        folder = Path(options.features.features) if options.features.features else _extracted(options)
        table = FeatureTable(folder, FEATURES)
        parts = _prepared(options, table)
        computed = time.monotonic()
        weights = _trained(session, table, parts[-1], options.head.weight_decay)
    return _written(*parts, table, weights, {"features": computed - began, "training": time.monotonic() - computed})


_Parts = tuple[RetrainOptions, list[str], FeatureModule, ImageFiles, Split]


def _prepared(options: RetrainOptions, table: FeatureTable) -> _Parts:
    """Return options, labels, net, images and split; checks that net and features belong together."""
    if len(table.classes) < 2:
        raise UsageError(f"--features={table.folder} holds one class, {table.classes[0]!r}: at least two are required.")
    module = load_module(_net_of(options, table), options.code)
    if module.identity != table.model.get("identity"):
        raise UsageError(
            f"--features={table.folder} were computed by {table.model.get('model')}, not by {module.name} as it is "
            "now: name the net of the features, or extract them again."
        )
    labels = output.label_names(table.classes)
    image_files = ImageFiles(Path(table.model.get("images", "")), table.names)
    image_files.rejected.update({number: ImageRejected(reason) for number, reason in table.rejected.items()})
    if table.model.get("split") == "hash":
        by_class = [[] for _ in table.classes]  # type: list[list[str]]
        for name, label in zip(table.names, table.labels, strict=True):
            by_class[label].append(name)
        source = ImageSource(table.classes, {TRAIN: by_class}, False, FolderReader(str(image_files.folder)))
        split = local.divide_images(source, image_files, options)
    else:
        split = table.split_of_source()
    images = dataclasses.replace(options.images, image_dir=str(image_files.folder))
    # The features are named no more: both flags at once would be refused.
    no_features = dataclasses.replace(options.features, features=None)
    return dataclasses.replace(options, images=images, features=no_features), labels, module, image_files, split


def _net_of(options: RetrainOptions, table: FeatureTable) -> ModuleOptions:
    """Return the net that the flags name, else the one that the features say."""
    given = options.module
    if given.model_name or given.tfhub_module != ModuleOptions.tfhub_module:
        return given
    flags = table.model.get("flags", {})
    if not {"model_name", "tfhub_module"} & flags.keys():
        raise UsageError(
            f"--features={table.folder} were computed by {table.model.get('model')}, to which retrain cannot add a "
            "layer: extract the features of a net (--model_name) or a module (--tfhub_module)."
        )
    return config.with_values(given, flags)


def _extracted(options: RetrainOptions) -> Path:
    """Compute the features of ``--image_dir`` that are missing in the cache; return their folder."""
    for flag, value in (("image_dir", options.images.image_dir), ("bottleneck_dir", options.module.bottleneck_dir)):
        if fault := fault_of(value or ""):
            raise UsageError(f"--{flag}={shown(value or '')} {fault}")
    source = local.list_images(options.images.image_dir or "")
    module = load_module(options.module, options.code)
    root = Path(options.images.image_dir or "").absolute()
    names = [name for of in source.splits[TRAIN] for name in of]
    digest = _digest(root, names, options.module.scaled_decoding != "never")
    store = local.store_folder(options.module.bottleneck_dir, module.name, module.identity, module.precision)
    folder = store / f"parquet-{digest}"
    given = options.module
    flags: dict[str, Any] = {
        "image_dir": options.images.image_dir,
        "testing_percentage": options.images.testing_percentage,
        "validation_percentage": options.images.validation_percentage,
        "model_name": given.model_name,
        "checkpoint_path": given.checkpoint_path if given.model_name else None,
        "preprocessing_name": given.preprocessing_name,
        "tfhub_module": None if given.model_name else given.tfhub_module,
        "image_size": given.image_size,
        "average_flip": given.average_flip,
        "precision": given.precision,
        "scaled_decoding": given.scaled_decoding,
        "output_dir": str(folder),
    }
    extract(dataclasses.replace(config.with_values(ExtractOptions(), flags), code=options.code, spark=options.spark))
    return folder


def _digest(root: Path, names: Sequence[str], scaled: bool) -> str:
    """Return a key of a folder of images, which changes with names, sizes and times of the files, and with decoding."""
    digest = hashlib.blake2b(os.fsencode(root), digest_size=10)
    if not scaled:
        digest.update(b"\0decoded in full\0")
    for name in names:
        try:
            status = (root / name).stat()
            digest.update(os.fsencode(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0"))
        except OSError:
            digest.update(os.fsencode(f"{name}\0"))
    return digest.hexdigest()


def _trained(session: Any, table: FeatureTable, split: Split, penalty: float | None) -> HeadWeights:
    from slim_train.bulk.spark_classifier import train_classifier

    images = [(name, label) for label, names in enumerate(split.parts[TRAINING]) for name in names]
    part_of = _part_of(table, split)

    def validation_loss(weights: HeadWeights) -> float | None:
        score = _as_score(_score(table, weights, part_of == VALIDATION))
        return score.cross_entropy if score else None

    def choose(fit: Callable[[float], HeadWeights]) -> HeadWeights:
        return fit_with_best_penalty(fit, validation_loss) if penalty is None else fit(penalty)

    return train_classifier(session, table.folder, table.column, images, len(table.classes), choose)


def _part_of(table: FeatureTable, split: Split) -> NDArray[np.str_]:
    """Return the part of the split of each image; "" if it has none."""
    part_of = {name: part for part, by_class in split.parts.items() for names in by_class for name in names}
    return np.array([part_of.get(name, "") for name in table.names])


def _written(
    options: RetrainOptions,
    labels: list[str],
    module: FeatureModule,
    image_files: ImageFiles,
    split: Split,
    table: FeatureTable,
    weights: HeadWeights,
    seconds: dict[str, float],
) -> report.RetrainReport:
    """Score the classifier and write the files of retrain."""
    began = time.monotonic()
    parts = _part_of(table, split)
    testing = _score(table, weights, parts == TESTING)
    validation = _score(table, weights, parts == VALIDATION)
    sample = (parts == TRAINING) & (np.cumsum(parts == TRAINING) <= _TRAINING_SAMPLE)
    training = _score(table, weights, sample)
    scores = [_as_score(result) for result in (training, validation)]
    evaluation = Evaluation(scores[0] or Score(0.0, 0.0), scores[1])
    log.info("Trained by Spark ML: %s.", evaluation)
    output.write(options.output, module, weights, labels)
    seconds = {**seconds, "all": sum(seconds.values()) + time.monotonic() - began}
    return report.write(options, labels, module, image_files, split, evaluation, testing, seconds)


def _score(table: FeatureTable, weights: HeadWeights, wanted: NDArray[np.bool_]) -> report.TestResult:
    """Classify images, file by file."""
    metrics = ClassificationMetrics(len(table.classes))
    mistakes: list[report.Misclassified] = []
    for numbers, vectors in table.batches(wanted):
        logits, labels = vectors @ weights.weights + weights.biases, table.labels[numbers]
        metrics.update(labels, logits)
        predicted = predict(logits)
        wrong = predicted.classes != labels
        columns = (numbers, labels, predicted.classes, predicted.probabilities)
        rows = zip(*(column[wrong].tolist() for column in columns), strict=True)
        mistakes += [report.Misclassified(*row) for row in rows]
    return report.TestResult(metrics, tuple(sorted(mistakes, key=lambda mistake: -mistake.probability)))


def _as_score(result: report.TestResult) -> Score | None:
    if not result.metrics.images:
        return None
    figures = result.metrics.report()
    return Score(figures.accuracy, figures.loss)
