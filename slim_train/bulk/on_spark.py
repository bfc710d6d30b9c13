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

from deployment.spark.executors import IdleWatch, is_connect, is_idle
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
            archive = ship_packages(session, job)
            table = session.range(0, len(parts), 1, len(parts)).mapInArrow(tasks(str(job), archive.name), _RESULT)
            watch = IdleWatch(lambda: is_idle(session), options.where)
            with _shown_progress(job.parent, parts, images, watch):
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


def tasks(job: str, archive: str) -> Callable[[Iterator[Any]], Iterator[Any]]:
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

    return with_our_packages(run, archive)


def with_our_packages(
    run: Callable[[Iterator[Any]], Iterator[Any]], archive: str
) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """Return the function of a task that first finds our packages. It is sent to the workers, so it imports inside.

    Args:
      run: what the task does.
      archive: name of the archive that :func:`ship_packages` sent.

    Raises, in the worker:
      RuntimeError: the worker has imported another version of our packages, or lacks a package.
    """

    from pyspark import cloudpickle

    # As bytes: to load it may import our packages, which must be those of the archive.
    pickled = cloudpickle.dumps(run)

    def run_checked(batches: Iterator[Any]) -> Iterator[Any]:
        import pickle
        import socket
        import sys

        # A worker has its current folder first on the path, which may be a checkout.
        sys.path.sort(key=lambda path: not path.endswith(archive))
        try:
            import slim_train

            if archive not in str(slim_train.__file__):
                raise RuntimeError(
                    f"Worker {socket.gethostname()} runs another version of slim-train, that of {slim_train.__file__}: "
                    "uninstall it there, or restart the executors."
                )
            yield from pickle.loads(pickled)(batches)
        except ImportError as error:
            raise RuntimeError(
                f"Worker {socket.gethostname()} lacks a package ({error}): install slim-train's requirements there."
            ) from None

    return run_checked


def ship_packages(session: Any, folder: Path) -> Path:
    """Give the workers our packages, in the version that runs here.

    Args:
      session: of Spark.
      folder: for the archive, which must stay until the session ends.

    Returns:
      The archive. Its name is that of the content: a worker that has imported another version would keep it.
    """
    root = Path(__file__).resolve().parents[2]
    files = sorted(path for package in _PACKAGES for path in (root / package).rglob("*.py"))
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        digest.update(path.read_bytes())
    archive = folder / f"slim_train_{digest.hexdigest()}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in files:
            packed.write(path, os.fspath(path.relative_to(root)))
    if is_connect(session):
        session.addArtifacts(os.fspath(archive), pyfile=True)
    else:
        session.sparkContext.addPyFile(os.fspath(archive))
    return archive


@contextlib.contextmanager
def _shown_progress(folder: Path, parts: Sequence[Part], images: int, idle: IdleWatch) -> Iterator[None]:
    """Show how many images are written, seen from the files, while the block waits for the cluster."""
    with ProgressBar("computing on Spark", images, "images") as bar:
        with polled(lambda: bar.update(finished(folder, parts)), idle.look):
            yield
        bar.update(images)


@contextlib.contextmanager
def polled(*calls: Callable[[], None]) -> Iterator[None]:
    """Make the calls about once per second, in a thread, while the block waits for the cluster."""
    ended = threading.Event()

    def poll() -> None:
        while not ended.wait(_POLL_SECS):
            for call in calls:
                call()

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
