"""The parts of a job, written where the flags say: in this process, or on a cluster."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from slim_train.bulk import parquet
from slim_train.bulk.image_rows import ImageOpener, ImageSet
from slim_train.bulk.parts import Part, PartDone, WritePart, default_size, run_here, split_into_parts
from slim_train.bulk.worker import write_job
from slim_train.errors import RunError
from slim_train.spark_options import SparkOptions

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Written:
    """What a run added to an output folder.

    Attributes:
      computed: number of images.
      rejected: of these, the number that cannot be used.
      seconds: duration of the computation.
    """

    computed: int
    rejected: int
    seconds: float


def write_missing(
    spark: SparkOptions,
    folder: Path,
    images: ImageSet,
    images_per_file: int | None,
    kind: str,
    to_do: str,
    write_model: Callable[[Path], None],
    local: Callable[[], AbstractContextManager[WritePart]],
) -> Written:
    """Write the parts of the images that are not in an output folder.

    Args:
      spark: names the cluster, if there is one.
      folder: of the output.
      images: all images of the job.
      images_per_file: size of a part, if the user says it.
      kind: of the work, for the workers.
      to_do: for the log, with ``{}`` for the number of images that are missing.
      write_model: writes the net into the folder of a job.
      local: opens what writes a part in this process.

    Raises:
      ClusterError: the cluster cannot be reached.
      RunError: the work failed there, or none of the images can be used.
    """
    parts = missing_parts(folder, images, images_per_file)
    missing, total = sum(len(part.rows) for part in parts), len(images.rows)
    log.info("%s images, %s.", f"{total:,}", to_do.format(f"{missing:,}"))
    began = time.monotonic()
    done = _write_parts(spark, folder, parts, kind, images.opener(), write_model, local)
    rejected = sum(part.rejected for part in done)
    if done and rejected == total:
        raise RunError(f"None of the {rejected:,} images can be used; column error in {folder} says why.")
    return Written(missing, rejected, time.monotonic() - began)


def missing_parts(folder: Path, images: ImageSet, size: int | None) -> list[Part]:
    """Return the images that are not in an output folder, in parts of ``size`` or of the default size."""
    stored = set(parquet.stored_paths(folder))
    rows = [row for row in images.rows if parquet.stored_path(row.path) not in stored] if stored else images.rows
    return split_into_parts(rows, size or default_size(len(rows)))


def _write_parts(
    spark: SparkOptions,
    folder: Path,
    parts: Sequence[Part],
    kind: str,
    opener: ImageOpener,
    write_model: Callable[[Path], None],
    local: Callable[[], AbstractContextManager[WritePart]],
) -> list[PartDone]:
    """Write parts, here or on a cluster, and return what was done."""
    if not parts:
        return []
    if spark.runs_on_spark:
        from slim_train.bulk.on_spark import run_on_spark

        with parquet.job_folder(folder) as job:
            write_model(job)
            write_job(job, kind, opener, parts)
            return run_on_spark(spark, kind, job, parts)
    with local() as write:
        return list(run_here(parts, write, sum(len(part.rows) for part in parts)))
