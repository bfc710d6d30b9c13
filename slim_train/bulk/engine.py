"""The parts of a job, written where the flags say: in this process, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from deployment.spark.session import under_spark_submit
from slim_train.bulk import parquet
from slim_train.bulk.image_rows import ImageOpener, ImageSet
from slim_train.bulk.parts import Part, PartDone, WritePart, run_here, split_into_parts
from slim_train.bulk.worker import write_job
from slim_train.spark_options import SparkOptions


def missing_parts(folder: Path, images: ImageSet, size: int) -> list[Part]:
    """Return the images that are not in an output folder, in parts of ``size``."""
    stored = set(parquet.stored_paths(folder))
    rows = [row for row in images.rows if parquet.stored_path(row.path) not in stored] if stored else images.rows
    return split_into_parts(rows, size)


def write_parts(
    spark: SparkOptions,
    folder: Path,
    parts: Sequence[Part],
    kind: str,
    opener: ImageOpener,
    write_model: Callable[[Path], None],
    local: Callable[[], AbstractContextManager[WritePart]],
) -> list[PartDone]:
    """Write parts, and return what was done.

    Args:
      spark: names the cluster, if there is one.
      folder: of the output.
      parts: the parts.
      kind: of the work, for the workers.
      opener: reads the images.
      write_model: writes the net into the folder of a job.
      local: opens what writes a part in this process.

    Raises:
      ClusterError: the cluster cannot be reached.
      RunError: the work failed there.
    """
    if not parts:
        return []
    if spark.uses_spark or under_spark_submit():
        from slim_train.bulk.on_spark import run_on_spark

        with parquet.job_folder(folder) as job:
            write_model(job)
            write_job(job, kind, opener, parts)
            return run_on_spark(spark, job, parts)
    with local() as write:
        return list(run_here(parts, write, sum(len(part.rows) for part in parts)))
