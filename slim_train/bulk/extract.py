"""The story of extract_features: images to Parquet files of features, here or on Spark. No TensorFlow on import."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datasets.storage import path_of
from deployment.spark.worker_parent import WorkerParent
from deployment.threads import available_cpus
from slim_train.bulk import parquet
from slim_train.bulk.engine import missing_parts, write_missing
from slim_train.bulk.frozen_net import FeatureNet
from slim_train.bulk.image_rows import ImageSet
from slim_train.bulk.listing import list_images
from slim_train.bulk.local_spark import load_net, net_session, warm, worker_parent
from slim_train.bulk.options import ExtractOptions
from slim_train.bulk.output_folder import worked_on_here
from slim_train.bulk.parts import FEATURES, WritePart

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ExtractionReport:
    """The result of an extraction.

    Attributes:
      folder: the output folder.
      images: number of images in it.
      computed: number of them that this run computed.
      rejected: of these, the number that cannot be used; their rows have an ``error``.
      end_points: end point -> length of its vectors.
      seconds: duration of the computation.
    """

    folder: Path
    images: int
    computed: int
    rejected: int
    end_points: Mapping[str, int]
    seconds: float

    def __str__(self) -> str:
        lengths = ", ".join(f"{name} ({length})" for name, length in self.end_points.items())
        rate = f", {self.computed / self.seconds:.1f} images/s" if self.computed and self.seconds else ""
        return (
            f"{self.folder}: {self.images:,} images, {self.computed:,} computed now{rate}, {self.rejected:,} of these "
            f"rejected. End points: {lengths}."
        )


def end_points_text(options: ExtractOptions) -> str:
    """Return the end points of the net with their shapes, one per line."""
    from slim_train.bulk.feature_net import list_end_points

    found = list_end_points(options.net, options.code)
    width = max(len(name) for name, _ in found)
    return "\n".join(f"{name:<{width}}  {'x'.join(str(side or '?') for side in shape)}" for name, shape in found)


def extract(options: ExtractOptions) -> ExtractionReport:
    """Compute the features that are missing in the output folder.

    Raises:
      UsageError: a flag is wrong, or images, net and folder do not fit.
      DataError: class folders or records cannot be read.
      RunError: none of the images can be used, or the cluster failed.
    """
    options.check()
    parquet.pyarrow_ready()
    folder = options.output.output_dir or ""
    with worker_parent(options.spark, FEATURES) as parent, worked_on_here(folder, "output_dir") as here:
        report = _extract_into(here, options, parent)
    report = dataclasses.replace(report, folder=path_of(folder).absolute())
    log.info("%s", report)
    return report


def _extract_into(folder: Path, options: ExtractOptions, parent: WorkerParent | None) -> ExtractionReport:
    images = list_images(options.images, options.spark.runs_on_spark)
    with contextlib.ExitStack() as stack:
        if parent and (options.output.overwrite or missing_parts(folder, images, options.output.images_per_file)):
            # Spark starts while the parent of its workers imports TensorFlow, and then loads the net.
            session = stack.enter_context(net_session(options.spark, "slim-train", parent))
            with warm(session):
                net = _loaded(options, parent)
        else:
            net = _loaded(options, parent)
        return _write(folder, images, net, options)


def _loaded(options: ExtractOptions, parent: WorkerParent | None) -> FeatureNet:
    if parent and sys.modules.get("tensorflow") is None:
        return load_net(parent, options.net, options.code)
    from slim_train.bulk.feature_net import load_feature_net

    return load_feature_net(options.net, options.code)


def _write(folder: Path, images: ImageSet, net: FeatureNet, options: ExtractOptions) -> ExtractionReport:
    parquet.prepare_folder(folder, {**net.facts(), **_facts(images)}, options.output.overwrite)

    @contextlib.contextmanager
    def local() -> Iterator[WritePart]:
        from slim_train.bulk import kinds
        from slim_train.bulk.features import FeatureBody

        with FeatureBody(net, images.opener(), available_cpus()) as body:
            yield lambda part: kinds.write_features(folder, body, part)

    to_do, size = "the features of {} to compute", options.output.images_per_file
    written = write_missing(options.spark, folder, images, size, FEATURES, to_do, net.write, local)
    lengths = {point.name: point.length for point in net.end_points}
    stored = sum(1 for _ in parquet.stored_paths(folder))
    report = ExtractionReport(folder, stored, written.computed, written.rejected, lengths, written.seconds)
    if stored > len(images.rows):
        log.warning("%s images in the output are not among those named now.", f"{stored - len(images.rows):,}")
    return report


def _facts(images: ImageSet) -> dict[str, Any]:
    split = "hash" if images.hashed else "source"
    return {"images": images.root, "classes": list(images.classes), "split": split}
