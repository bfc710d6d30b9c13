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
from slim_train.evaluation.metrics import ClassificationMetrics, predict
from slim_train.evaluation.mistakes import Mistake, draw_mistakes_sheet
from slim_train.retraining.head import Head
from slim_train.retraining.modules import FeatureModule
from slim_train.retraining.options import RetrainOptions
from slim_train.retraining.pictures import Pictures
from slim_train.retraining.split import TESTING, Split
from slim_train.retraining.train import Evaluation

log = logging.getLogger(__name__)

_DRAWN_MISTAKES = 36


@dataclass(frozen=True)
class Misclassified:
    """A picture, by its number, of class ``label`` that was taken for ``predicted`` with ``probability``."""

    picture: int
    label: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class TestResult:
    """The final test: figures over all pictures tested, and the mistakes, the most confident first."""

    metrics: ClassificationMetrics
    mistakes: tuple[Misclassified, ...]


def test(head: Head, numbers: NDArray[np.int64], labels: NDArray[np.int64], num_classes: int) -> TestResult:
    """Classify pictures: numbers and labels [N]."""
    metrics = ClassificationMetrics(num_classes)
    if not len(numbers):
        return TestResult(metrics, ())
    logits = head.logits(numbers)
    metrics.update(labels, logits)
    predicted = predict(logits)
    wrong = predicted.classes != labels
    columns = (numbers, labels, predicted.classes, predicted.probabilities)
    mistakes = [Misclassified(*row) for row in zip(*(column[wrong].tolist() for column in columns), strict=True)]
    return TestResult(metrics, tuple(sorted(mistakes, key=lambda mistake: -mistake.probability)))


def write(
    options: RetrainOptions,
    labels: Sequence[str],
    module: FeatureModule,
    pictures: Pictures,
    split: Split,
    evaluation: Evaluation,
    result: TestResult,
    seconds: Mapping[str, float],
) -> None:
    """Write the JSON and the sheet of mistakes beside the graph, and say in the log how the test went."""
    graph = Path(options.output.output_graph)
    values = {
        "image_dir": options.images.image_dir,
        "module": module.name,
        "labels": list(labels),
        "pictures": {part: sum(map(len, by_class)) for part, by_class in split.parts.items()},
        "rejected": {pictures.names[index]: str(reason) for index, reason in pictures.rejected.items()},
        "moved": {name: moved.part for moved in split.moved for name in moved.names},
        "steps": options.head.how_many_training_steps,
        "training": evaluation.training._asdict(),
        "validation": evaluation.validation and evaluation.validation._asdict(),
        "test": _figures(result.metrics, labels),
        "misclassified": [
            {
                "file": pictures.names[mistake.picture],
                "label": labels[mistake.label],
                "prediction": labels[mistake.predicted],
                "probability": round(mistake.probability, 6),
            }
            for mistake in result.mistakes
        ],
        "seconds": {what: round(taken, 3) for what, taken in seconds.items()},
    }
    path = graph.with_suffix(".json")
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if not result.metrics.images:
        log.info("No test: there are no pictures for it. The graph is %s, the results %s.", graph, path)
        return
    sheet = graph.with_name(f"{graph.stem}_mistakes.png")
    _draw_mistakes(sheet, result, pictures, labels)
    if options.output.print_misclassified_test_images:
        log.info("Misclassified test images:")
        for mistake in result.mistakes:
            log.info("%70s  %s", pictures.names[mistake.picture], labels[mistake.predicted])
    accuracy = result.metrics.headline()["accuracy"]
    log.info("Final test accuracy = %.1f%% (N=%d)", 100 * accuracy, result.metrics.images)
    log.info("The graph is %s, the results %s and %s.", graph, path, sheet)


def _figures(metrics: ClassificationMetrics, labels: Sequence[str]) -> dict[str, Any] | None:
    if not metrics.images:
        return None
    figures = metrics.report()
    return {
        "images": figures.images,
        "accuracy": figures.accuracy,
        "cross_entropy": figures.loss,
        "recall": dict(zip(labels, figures.recall.tolist(), strict=True)),
        "confusion_matrix": figures.confusion_matrix.tolist(),
    }


def _draw_mistakes(path: Path, result: TestResult, pictures: Pictures, labels: Sequence[str]) -> None:
    worst = [
        Mistake(
            (pictures.folder / pictures.names[mistake.picture]).read_bytes(),
            pictures.names[mistake.picture],
            mistake.label,
            mistake.predicted,
            mistake.probability,
        )
        for mistake in result.mistakes[:_DRAWN_MISTAKES]
    ]
    draw_mistakes_sheet(path, worst, labels, split=TESTING, images=result.metrics.images, total=len(result.mistakes))
