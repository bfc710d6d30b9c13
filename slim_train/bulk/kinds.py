"""The kinds of work that a worker can do, by name, and how each writes a part."""

from __future__ import annotations

from pathlib import Path

from slim_train.bulk import parquet
from slim_train.bulk.feature_net import FeatureNet
from slim_train.bulk.features import FeatureBody
from slim_train.bulk.image_rows import ImageOpener
from slim_train.bulk.parts import Part, PartDone, WritePart

FEATURES = "features"


def write_features(folder: Path, body: FeatureBody, part: Part) -> PartDone:
    """Compute the features of a part and write its file."""
    vectors, errors = body(part.rows)
    parquet.write_part(folder / part.file, part.rows, vectors, errors)
    return PartDone(part.file, len(part.rows), sum(error is not None for error in errors))


def writer(kind: str, job: Path, opener: ImageOpener, threads: int) -> WritePart:
    """Return what writes the parts of a job, with the net that lies in its folder."""
    assert kind == FEATURES, kind
    body = FeatureBody(FeatureNet.read(job), opener, threads)
    return lambda part: write_features(job.parent, body, part)
