"""The results of a retraining for people and programs: log, JSON, and a sheet of the mistakes."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.files import replacing
from datasets.storage import path_of
from slim_train.evaluation.metrics import ClassificationMetrics, ClassificationReport, predict
from slim_train.evaluation.mistakes import Mistake, draw_mistakes_sheet
from slim_train.reports import html
from slim_train.retraining.head import Head, Score
from slim_train.retraining.image_features import ImageFiles
from slim_train.retraining.modules import FeatureModule
from slim_train.retraining.options import RetrainOptions
from slim_train.retraining.split import TESTING, Split
from slim_train.retraining.train import Evaluation

log = logging.getLogger(__name__)

_DRAWN_MISTAKES = 36


@dataclass(frozen=True)
class Misclassified:
    """An image, by its number, of class ``label`` that was taken for ``predicted`` with ``probability``."""

    image: int
    label: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class TestResult:
    """The final test: figures over all images tested, and the mistakes, the most confident first."""

    metrics: ClassificationMetrics
    mistakes: tuple[Misclassified, ...]


def test(head: Head, numbers: NDArray[np.int64], labels: NDArray[np.int64], num_classes: int) -> TestResult:
    """Classify images: numbers and labels [N]."""
    metrics = ClassificationMetrics(num_classes)
    if not len(numbers):
        return TestResult(metrics, ())
    label_of = dict(zip(numbers.tolist(), labels.tolist(), strict=True))
    mistakes: list[Misclassified] = []
    for part, logits in head.parts(numbers):
        true = np.array([label_of[number] for number in part.tolist()])
        metrics.update(true, logits)
        predicted = predict(logits)
        wrong = predicted.classes != true
        columns = (part, true, predicted.classes, predicted.probabilities)
        mistakes += [Misclassified(*row) for row in zip(*(column[wrong].tolist() for column in columns), strict=True)]
    return TestResult(metrics, tuple(sorted(mistakes, key=lambda mistake: -mistake.probability)))


@dataclass(frozen=True)
class RetrainReport:
    """The result of a retraining.

    Attributes:
      image_dir: the folder of images.
      module: name of the trained net.
      labels: the class names.
      images: number of images by part: training, validation, testing.
      rejected: image -> what is wrong with it.
      moved: image -> the part that it was moved to, since its class had none there.
      steps: training steps.
      training: accuracy and cross entropy of the last batch.
      validation: the same of the validation images, or None.
      test: metrics of the final test; None if there are no images for it.
      misclassified: for each mistake of the test: file, label, prediction, probability; the most confident first.
      seconds: durations by what took them.
      files: the files that were written, by what they hold: graph, labels, report, and if written mistakes and
        saved_model.
    """

    image_dir: str
    module: str
    labels: tuple[str, ...]
    images: Mapping[str, int]
    rejected: Mapping[str, str]
    moved: Mapping[str, str]
    steps: int
    training: Score
    validation: Score | None
    test: ClassificationReport | None
    misclassified: tuple[Mapping[str, Any], ...]
    seconds: Mapping[str, float]
    files: Mapping[str, Path]

    @property
    def accuracy(self) -> float | None:
        """The accuracy of the final test."""
        return self.test.accuracy if self.test else None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as the JSON beside the graph holds it."""
        return {
            "image_dir": self.image_dir,
            "module": self.module,
            "labels": list(self.labels),
            "pictures": dict(self.images),
            "rejected": dict(self.rejected),
            "moved": dict(self.moved),
            "steps": self.steps,
            "training": self.training._asdict(),
            "validation": self.validation and self.validation._asdict(),
            "test": self.test and _figures(self.test, self.labels),
            "misclassified": list(self.misclassified),
            "seconds": dict(self.seconds),
        }

    def _repr_html_(self) -> str:
        facts = {
            "graph": self.files["graph"],
            "images": ", ".join(f"{count:,} {part}" for part, count in self.images.items()),
            "validation": self.validation and f"accuracy {self.validation.accuracy:.1%}",
            "test": self.test and f"accuracy {self.test.accuracy:.1%} of {self.test.images:,} images",
        }
        sheet = html.image_file(self.files["mistakes"], "mistakes") if "mistakes" in self.files else ""
        return html.report(f"Retraining of {self.module}", f"{self.seconds['all']:.0f} s", html.facts(facts), sheet)


def write(
    options: RetrainOptions,
    labels: Sequence[str],
    module: FeatureModule,
    image_files: ImageFiles,
    split: Split,
    evaluation: Evaluation,
    result: TestResult,
    seconds: Mapping[str, float],
) -> RetrainReport:
    """Write the JSON and the sheet of mistakes beside the graph, and say in the log how the test went."""
    graph = path_of(options.output.output_graph)
    path, sheet = graph.with_suffix(".json"), graph.with_name(f"{graph.stem}_mistakes.png")
    files = {"graph": graph, "labels": path_of(options.output.output_labels), "report": path}
    if result.metrics.images:
        files["mistakes"] = sheet
    if options.output.saved_model_dir:
        files["saved_model"] = path_of(options.output.saved_model_dir)
    report = RetrainReport(
        image_dir=options.images.image_dir or "",
        module=module.name,
        labels=tuple(labels),
        images={part: sum(map(len, by_class)) for part, by_class in split.parts.items()},
        rejected={image_files.names[index]: str(reason) for index, reason in image_files.rejected.items()},
        moved={name: moved.part for moved in split.moved for name in moved.names},
        steps=options.head.how_many_training_steps,
        training=evaluation.training,
        validation=evaluation.validation,
        test=result.metrics.report() if result.metrics.images else None,
        misclassified=tuple(_misclassified(mistake, image_files, labels) for mistake in result.mistakes),
        seconds={what: round(taken, 3) for what, taken in seconds.items()},
        files=files,
    )
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if report.test is None:
        log.info("No test: there are no images for it. The graph is %s, the results %s.", graph, path)
        return report
    _draw_mistakes(sheet, result, image_files, labels)
    if options.output.print_misclassified_test_images:
        log.info("Misclassified test images:")
        for mistake in report.misclassified:
            log.info("%70s  %s", mistake["file"], mistake["prediction"])
    log.info("Final test accuracy = %.1f%% (N=%d)", 100 * report.test.accuracy, report.test.images)
    log.info("The graph is %s, the results %s and %s.", graph, path, sheet)
    return report


def _misclassified(mistake: Misclassified, image_files: ImageFiles, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "file": image_files.names[mistake.image],
        "label": labels[mistake.label],
        "prediction": labels[mistake.predicted],
        "probability": round(mistake.probability, 6),
    }


def _figures(figures: ClassificationReport, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "images": figures.images,
        "accuracy": figures.accuracy,
        "cross_entropy": figures.loss,
        "recall": dict(zip(labels, figures.recall.tolist(), strict=True)),
        **figures.confusion.to_dict(),
    }


def _draw_mistakes(path: Path, result: TestResult, image_files: ImageFiles, labels: Sequence[str]) -> None:
    worst = [
        Mistake(
            (image_files.folder / image_files.names[mistake.image]).read_bytes(),
            image_files.names[mistake.image],
            mistake.label,
            mistake.predicted,
            mistake.probability,
        )
        for mistake in result.mistakes[:_DRAWN_MISTAKES]
    ]
    draw_mistakes_sheet(path, worst, labels, split=TESTING, images=result.metrics.images, total=len(result.mistakes))
