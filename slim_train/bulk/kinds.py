"""The kinds of work that a worker can do, by name, and how each writes a part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from slim_train import config
from slim_train.bulk import parquet
from slim_train.bulk.classes import ClassBody, write_classes
from slim_train.bulk.features import FeatureBody
from slim_train.bulk.frozen_net import FeatureNet
from slim_train.bulk.image_rows import ImageOpener
from slim_train.bulk.parts import CLASSES, FEATURES, Part, PartDone, WritePart
from slim_train.inference.label_image import open_classifier
from slim_train.inference.options import ClassifierOptions

_CLASSIFIER = "classifier.json"


def write_features(folder: Path, body: FeatureBody, part: Part) -> PartDone:
    """Compute the features of a part and write its file."""
    vectors, errors = body(part.rows)
    parquet.write_part(folder / part.file, part.rows, vectors, errors)
    return PartDone(part.file, len(part.rows), sum(error is not None for error in errors))


def write_classifier(job: Path, options: ClassifierOptions, classes: Sequence[str], top: int) -> None:
    """Write the flags of a classifier, which workers read from where it lies."""
    flags = {spec.name: spec.default for spec in config.flag_specs(options)}
    facts = {"flags": flags, "classes": list(classes), "top": top}
    (job / _CLASSIFIER).write_text(json.dumps(facts), encoding="utf-8")


def writer(kind: str, job: Path, opener: ImageOpener, threads: int) -> WritePart:
    """Return what writes the parts of a job, with the net that lies in its folder, or that its folder names."""
    if kind == FEATURES:
        features = FeatureBody(FeatureNet.read(job), opener, threads)
        return lambda part: write_features(job.parent, features, part)
    assert kind == CLASSES, kind
    facts = json.loads((job / _CLASSIFIER).read_text(encoding="utf-8"))
    predictor = open_classifier(config.with_values(ClassifierOptions(), facts["flags"]))
    classes = ClassBody(predictor, opener, facts["classes"], facts["top"], threads)
    return lambda part: write_classes(job.parent, classes, part)
