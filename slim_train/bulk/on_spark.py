"""Spark as the engine of a job: one task per part. No TensorFlow in this process."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from deployment.spark.session import first_line, spark_session
from slim_train.bulk.parquet import sweep
from slim_train.bulk.parts import Part, PartDone, finished
from slim_train.errors import RunError
from slim_train.progress import ProgressBar
from slim_train.spark_options import SparkOptions

log = logging.getLogger(__name__)

_PACKAGES = ("slim_train", "datasets", "deployment")
_RESULT = "file string, images long, rejected long"
_POLL_SECS = 1.0


def run_on_spark(options: SparkOptions, job: Path, parts: Sequence[Part]) -> list[PartDone]:
    """Write the parts of a job on a cluster.

    Args:
      options: names the cluster.
      job: folder with the job, in the output folder.
      parts: the parts, as they were written to the job.

    Raises:
      ClusterError: pyspark or Java is missing, or the cluster cannot be reached.
      RunError: the work failed there.
    """
    images = sum(len(part.rows) for part in parts)
    try:
        with spark_session(options.spark_master, options.spark_remote, options.settings(), "slim-train") as session:
            _ship_packages(session, job)
            table = session.range(0, len(parts), 1, len(parts)).mapInArrow(_tasks(str(job)), _RESULT)
            with _shown_progress(job.parent, parts, images):
                try:
                    rows = table.collect()
                except Exception as error:
                    # Of Py4J, gRPC or Spark: they have no common base.
                    log.debug("The Spark job failed:", exc_info=True)
                    raise RunError(f"The Spark job failed: {first_line(error)}") from error
    finally:
        # Only now are tasks gone that were tried twice, or killed.
        sweep(job.parent, jobs=False)
    done = {row["file"]: PartDone(row["file"], row["images"], row["rejected"]) for row in rows}
    missing = [part.file for part in parts if part.file not in done or not (job.parent / part.file).is_file()]
    if missing:
        raise RunError(
            f"{len(missing)} files are missing in {job.parent}, such as {missing[0]}: run the command again."
        )
    return list(done.values())


def _tasks(job: str) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """Return the function of a task. It is sent to the workers as it is, so it imports inside."""

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow
        from pyspark import TaskContext

        from slim_train.bulk.worker import run_part

        context = TaskContext.get()
        threads = int(context.cpus()) if context else 1
        gpus = context.resources().get("gpu") if context else None
        for batch in batches:
            for number in batch.column(0).to_pylist():
                done = run_part(job, number, threads, gpus.addresses if gpus else None)
                yield pyarrow.RecordBatch.from_pydict(
                    {"file": [done.file], "images": [done.images], "rejected": [done.rejected]}
                )

    return run


def _ship_packages(session: Any, job: Path) -> None:
    """Give the workers our packages, in the version that runs here."""
    root = Path(__file__).resolve().parents[2]
    files = sorted(path for package in _PACKAGES for path in (root / package).rglob("*.py"))
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        digest.update(path.read_bytes())
    # The name is that of the content: a worker that has imported another version would keep it.
    archive = job / f"slim_train_{digest.hexdigest()}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in files:
            packed.write(path, os.fspath(path.relative_to(root)))
    if type(session).__module__.startswith("pyspark.sql.connect"):
        session.addArtifacts(os.fspath(archive), pyfile=True)
    else:
        session.sparkContext.addPyFile(os.fspath(archive))


@contextlib.contextmanager
def _shown_progress(folder: Path, parts: Sequence[Part], images: int) -> Iterator[None]:
    """Show how many images are written, seen from the files, while the block waits for the cluster."""
    ended = threading.Event()

    def watch(bar: ProgressBar) -> None:
        while not ended.wait(_POLL_SECS):
            bar.update(finished(folder, parts))

    with ProgressBar("computing on Spark", images, "images") as bar:
        thread = threading.Thread(target=watch, args=(bar,), daemon=True)
        thread.start()
        try:
            yield
            bar.update(images)
        finally:
            ended.set()
            thread.join()
