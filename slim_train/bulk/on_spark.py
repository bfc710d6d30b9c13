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
from deployment.spark.session import first_line, is_local
from slim_train.bulk.local_spark import net_session, worker_parent
from slim_train.bulk.parquet import sweep
from slim_train.bulk.parts import Part, PartDone, finished
from slim_train.errors import RunError
from slim_train.progress import ProgressBar
from slim_train.spark_options import SparkOptions

log = logging.getLogger(__name__)

_PACKAGES = ("slim_train", "datasets", "deployment")
_RESULT = "file string, images long, rejected long"
_POLL_SECS = 1.0


def run_on_spark(options: SparkOptions, kind: str, job: Path, parts: Sequence[Part]) -> list[PartDone]:
    """Write the parts of a job on a cluster.

    Args:
      options: names the cluster.
      kind: of the work.
      job: folder with the job, in the output folder.
      parts: the parts, as they were written to the job.

    Raises:
      ClusterError: pyspark or Java is missing, or the cluster cannot be reached.
      RunError: the work failed there.
    """
    images = sum(len(part.rows) for part in parts)
    try:
        with (
            worker_parent(options, kind) as parent,
            net_session(options, "slim-train", parent) as session,
        ):
            source = ship_packages(session, job)
            watch = IdleWatch(lambda: is_idle(session), options.where)
            with _shown_progress(job.parent, parts, images, watch):
                try:
                    done = {one.file: one for one in _run(session, tasks(str(job), source), len(parts))}
                except Exception as error:
                    # Of Py4J, gRPC or Spark: they have no common base.
                    log.debug("The Spark job failed:", exc_info=True)
                    raise RunError(f"The Spark job failed: {first_line(error)}") from error
    finally:
        # Only now are tasks gone that were tried twice, or killed.
        sweep(job.parent, jobs=False)
    missing = [part.file for part in parts if part.file not in done or not (job.parent / part.file).is_file()]
    if missing:
        raise RunError(
            f"{len(missing)} files are missing in {job.parent}, such as {missing[0]}: run the command again."
        )
    return list(done.values())


def _run(session: Any, task: Callable[[Iterator[int]], Iterator[Any]], count: int) -> list[PartDone]:
    """Run ``count`` tasks, each with its number."""
    if not is_connect(session):
        found = session.sparkContext.parallelize(range(count), count).mapPartitions(task).collect()
    else:  # which has no RDDs

        def in_arrow(batches: Iterator[Any]) -> Iterator[Any]:
            import pyarrow

            for batch in batches:
                for file, images, rejected in task(batch.column(0).to_pylist()):
                    columns = {"file": [file], "images": [images], "rejected": [rejected]}
                    yield pyarrow.RecordBatch.from_pydict(columns)

        found = session.range(0, count, 1, count).mapInArrow(in_arrow, _RESULT).collect()
    return [PartDone(*row) for row in found]


def tasks(job: str, source: str) -> Callable[[Iterator[int]], Iterator[tuple[str, int, int]]]:
    """Return the function of a task: numbers of parts to what was done. It is sent to workers, so it imports inside."""

    def run(numbers: Iterator[int]) -> Iterator[tuple[str, int, int]]:
        from pyspark import TaskContext

        from slim_train.bulk.worker import run_part

        context = TaskContext.get()
        threads = int(context.cpus()) if context else 1
        gpus = context.resources().get("gpu") if context else None
        for number in numbers:
            done = run_part(job, number, threads, gpus.addresses if gpus else None)
            yield done.file, done.images, done.rejected

    return with_our_packages(run, source)


def with_our_packages(
    run: Callable[[Iterator[Any]], Iterator[Any]], source: str
) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """Return the function of a task that first finds our packages. It is sent to the workers, so it imports inside.

    Args:
      run: what the task does.
      source: of our packages, as :func:`ship_packages` returned it.

    Raises, in the worker:
      RuntimeError: the worker has imported another version of our packages, or lacks a package.
    """

    from pyspark import cloudpickle

    # As bytes: to load it may import our packages, which must be those of the archive.
    pickled = cloudpickle.dumps(run)

    def run_checked(batches: Iterator[Any]) -> Iterator[Any]:
        import pathlib
        import pickle
        import socket
        import sys

        here = str(pathlib.Path.cwd())
        # A worker has its current folder first on the path, which may be a checkout. Others keep their order: an
        # installed package is in the folder of all packages, which must not come before the standard library.
        own = [path for path in sys.path if path.endswith(source) or path not in ("", here)]
        sys.path[:] = own if any(path.endswith(source) for path in own) else [source, *own]
        try:
            import slim_train

            if source not in str(slim_train.__file__):
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


def ship_packages(session: Any, folder: Path) -> str:
    """Give the workers our packages, in the version that runs here.

    Args:
      session: of Spark.
      folder: for the archive, which must stay until the session ends.

    Returns:
      The name of the archive, which is that of the content: a worker that has imported another version would keep it.
      Workers of a local master read the files that run here: their folder.
    """
    root = Path(__file__).resolve().parents[2]
    if not is_connect(session) and is_local(session.sparkContext.master):
        return os.fspath(root)
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
    return archive.name


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
