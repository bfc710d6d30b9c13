"""Sessions for jobs with nets. Local ones fork workers from a process that imported TensorFlow. No TensorFlow here."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deployment.spark.session import has_session, is_local, spark_session, under_spark_submit
from deployment.spark.worker_parent import ParentLostError, WorkerParent
from deployment.threads import thread_environment
from slim_train.bulk.frozen_net import FeatureNet
from slim_train.bulk.options import FeatureNetOptions
from slim_train.bulk.parts import FEATURES
from slim_train.errors import RunError
from slim_train.spark_options import SparkOptions
from slim_train.training_options import UserCodeOptions

log = logging.getLogger(__name__)

_IMPORTS = "slim_train.bulk.worker_imports"
_LOAD_NET = f"{_IMPORTS}:load_net"
# A job is over before optimized code has paid for the CPU time of Java's second compiler, which here the nets lack.
_JAVA_OPTIONS = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}


@contextlib.contextmanager
def worker_parent(options: SparkOptions, kind: str) -> Iterator[WorkerParent | None]:
    """Yield the process that workers of a local Spark are to be forked from, which has begun to import TensorFlow.

    Args:
      options: names the cluster.
      kind: of the work.

    Yields:
      None if workers are elsewhere, or the user has settings for them.
    """
    if not forks_workers(options):
        yield None
        return
    environment = thread_environment(1)  # with two, NumPy starts a thread
    environment["TF_CPP_MIN_LOG_LEVEL"] = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3")
    if kind == FEATURES:
        environment["TF_USE_LEGACY_KERAS"] = os.environ.get("TF_USE_LEGACY_KERAS", "1")
    with WorkerParent(["pyspark.daemon", _IMPORTS], environment) as parent:
        yield parent


def forks_workers(options: SparkOptions) -> bool:
    """Return whether workers of this session are to be forked from a process with TensorFlow."""
    if sys.platform != "linux" or not (options.spark_master and is_local(options.spark_master)):
        return False
    if under_spark_submit() or importlib.util.find_spec("pyspark") is None or has_session():
        return False
    if any(key.startswith(("spark.python.", "spark.executorEnv.")) for key in options.settings()):
        return False
    if os.environ.get("PYSPARK_PYTHON", sys.executable) != sys.executable:
        return False
    # TensorFlow must not be imported before a fork that uses a GPU.
    return not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("/dev/kfd").exists()


@contextlib.contextmanager
def net_session(
    options: SparkOptions, app_name: str, parent: WorkerParent | None, needs_sql: bool = False
) -> Iterator[Any]:
    """Yield a session.

    Args:
      options: names the cluster.
      app_name: what Spark's pages call the job.
      parent: of its workers, or None.
      needs_sql: whether the job uses more than RDDs, so that Java's code matters.
    """
    settings = options.settings()
    if parent:
        settings = {**({} if needs_sql else _JAVA_OPTIONS), **parent.settings(), **settings}
    with spark_session(options.spark_master, options.spark_remote, settings, app_name, needs_sql) as session:
        yield session


def load_net(parent: WorkerParent, options: FeatureNetOptions, code: UserCodeOptions) -> FeatureNet:
    """Return the net that the flags name, loaded by a fork of ``parent``.

    Raises:
      UsageError: there is no such net, checkpoint or end point.
      RunError: a module cannot be downloaded, or the process has ended.
    """
    try:
        net: FeatureNet = parent.call(_LOAD_NET, options, code)
    except ParentLostError as error:
        raise RunError("The process that loads the net has ended: is there enough memory?") from error
    return net


@contextlib.contextmanager
def warm(session: Any) -> Iterator[None]:
    """Run a first, empty task in the background of the block: it takes seconds, most of them Java's."""

    def run() -> None:
        try:
            session.sparkContext.parallelize(range(1), 1).mapPartitions(list).collect()
        except Exception:
            # Of Py4J or Spark: they have no common base. What is wrong shows in the tasks of the job.
            log.debug("The first task failed:", exc_info=True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
