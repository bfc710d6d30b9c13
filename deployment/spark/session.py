"""A Spark session: that of the process, or a new one on a master or a Connect server. No TensorFlow."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deployment.cluster import ClusterError
from deployment.spark.java import java_home
from deployment.spark.lost_java import ended_if_interrupted

log = logging.getLogger(__name__)

_LOCAL = re.compile(r"local(\[(?P<threads>\d+|\*)(,(?P<failures>\d+))?\])?")
_STANDALONE = re.compile(r"spark://(?P<hosts>[^/]+)/?")
_CONNECT = re.compile(r"sc://(?P<host>\[[^\]]+\]|[^:/;]+)(:(?P<port>\d+))?.*")
_CONNECT_PORT = 15002
_TRIES = 4  # of a task; in local mode Spark would give up after the first
_SECONDS = 10
# Open sessions on Connect servers, by address. A job within a job shares the session, as without Connect: a second one
# would stop the first when it ends.
_remote_sessions: dict[str, Any] = {}
# Open sessions and contexts of this module, the newest last, for jobs within jobs.
_own_sessions: list[Any] = []
# Spark's default is to log every warning of its start.
_LOG4J = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.console.type = Console
appender.console.name = stderr
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = Spark %p %c{1}: %m%n
"""


def under_spark_submit() -> bool:
    """Return whether spark-submit, or a notebook of a cluster, has started this process."""
    return "PYSPARK_GATEWAY_PORT" in os.environ or "DATABRICKS_RUNTIME_VERSION" in os.environ


def has_session() -> bool:
    """Return whether this process has a session or context, not counting sessions on Connect servers."""
    sql = sys.modules.get("pyspark.sql")
    return bool(_own_sessions) or (sql is not None and sql.SparkSession.getActiveSession() is not None)


def is_local(master: str) -> bool:
    """Return whether a master is this machine: tasks run in processes that Spark starts in the driver's folder."""
    return bool(_LOCAL.fullmatch(master))


class TaskContext:
    """A session that runs tasks on RDDs only: to start Spark's SQL takes two seconds more.

    Attributes:
      sparkContext: the context, under the name that it has in a session.
    """

    def __init__(self, context: Any) -> None:
        self.sparkContext = context

    def stop(self) -> None:
        """Stop the context."""
        self.sparkContext.stop()


@contextlib.contextmanager
def spark_session(
    master: str | None, remote: str | None, settings: Mapping[str, str], app_name: str, needs_sql: bool = True
) -> Iterator[Any]:
    """Yield a session; one that this made is stopped at the end.

    Args:
      master: ``--spark_master``, or None.
      remote: ``--spark_remote``, or None.
      settings: Spark's, by key; they override those set here.
      app_name: what Spark's pages call the job.
      needs_sql: whether the job uses more than RDDs. Without it, a new session may be a :class:`TaskContext`; one on a
        Connect server never is.

    Raises:
      ClusterError: pyspark or Java is missing, or the cluster cannot be reached.
    """
    sql = _pyspark(master, remote)
    if not log.isEnabledFor(logging.DEBUG):
        logging.getLogger("py4j").setLevel(logging.WARNING)
    own = _remote_sessions.get(remote) if remote else next(reversed(_own_sessions), None)
    if own is not None:
        assert not (needs_sql and isinstance(own, TaskContext))
        yield own
        return
    active = None if remote else sql.SparkSession.getActiveSession()
    if active is not None:
        log.info("Using the Spark session of this process.")
        yield active
        return
    _check_reachable(master, remote)
    builder = sql.SparkSession.builder.appName(app_name)
    if remote:
        builder = builder.remote(remote)
        for key, value in settings.items():
            builder = builder.config(key, value)
        # Not getOrCreate: a session that a notebook has would be returned, on whatever server, and stopped at the end.
        with _started(builder.create, f"--spark_remote={remote}") as session:
            _remote_sessions[remote] = session
            try:
                yield session
            finally:
                _remote_sessions.pop(remote, None)
        return
    pyspark = importlib.import_module("pyspark")
    conf = pyspark.SparkConf().setAppName(app_name)
    conf.setAll(list({**_defaults(master), **settings}.items()))
    if master:
        conf.setMaster(master_with_tries(master))

    def start() -> Any:
        with ended_if_interrupted():
            if needs_sql:
                return sql.SparkSession.builder.config(conf=conf).getOrCreate()
            return TaskContext(pyspark.SparkContext.getOrCreate(conf))

    with _environment(), java_home(pyspark.__version__, os.environ) as home:
        if home:
            os.environ["JAVA_HOME"] = home
        with _started(start, f"--spark_master={master}") as session:
            _own_sessions.append(session)
            try:
                yield session
            finally:
                _own_sessions.remove(session)


def master_with_tries(master: str) -> str:
    """Return a local master that tries a failed task again, as clusters do; others are returned as they are.

    Raises:
      ClusterError: no such kind of master.
    """
    local = _LOCAL.fullmatch(master)
    if local:
        return f"local[{local['threads'] or 1},{local['failures'] or _TRIES}]"
    if not master.startswith(("spark://", "yarn", "k8s://", "local-cluster[")):
        raise ClusterError(
            f"--spark_master={master} is not a master: local[2], spark://host:7077, yarn or k8s://https://host:port."
        )
    return master


def _pyspark(master: str | None, remote: str | None) -> Any:
    flag = f"--spark_remote={remote}" if remote else f"--spark_master={master}"
    try:
        return importlib.import_module("pyspark.sql")
    except ImportError as error:
        raise ClusterError(f"{flag} requires pyspark ({error}): pip install 'slim-train[spark]'.") from error


def _check_reachable(master: str | None, remote: str | None) -> None:
    """Spark itself would try for a minute."""
    if remote:
        found = _CONNECT.fullmatch(remote)
        if not found:
            raise ClusterError(f"--spark_remote={remote} is not the address of a Connect server: sc://host:15002.")
        _connect(f"--spark_remote={remote}", [(found["host"], int(found["port"] or _CONNECT_PORT))])
    elif master and master.startswith("spark://"):
        standalone = _STANDALONE.fullmatch(master)
        pairs = [host.rpartition(":") for host in standalone["hosts"].split(",")] if standalone else []
        if not pairs or not all(host and port.isdecimal() for host, _, port in pairs):
            raise ClusterError(f"--spark_master={master} is not the address of a master: spark://host:7077.")
        _connect(f"--spark_master={master}", [(host, int(port)) for host, _, port in pairs])


def _connect(flag: str, addresses: list[tuple[str, int]]) -> None:
    for host, port in addresses:
        try:
            socket.create_connection((host.strip("[]"), port), _SECONDS).close()
            return
        except (OSError, OverflowError) as error:
            reason = error
    raise ClusterError(f"{flag} cannot be reached ({getattr(reason, 'strerror', None) or reason}): is it running?")


def _defaults(master: str | None) -> dict[str, str]:
    settings = {
        "spark.ui.showConsoleProgress": "false",
        "spark.executorEnv.TF_CPP_MIN_LOG_LEVEL": "3",
    }
    if master and is_local(master):
        settings |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
        }
    return settings


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Set what Spark reads when it starts, and give the environment back."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="slim-train-spark-") as folder:
        try:
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
            if not logging.getLogger().isEnabledFor(logging.DEBUG):
                properties = Path(folder) / "log4j2.properties"
                properties.write_text(_LOG4J, encoding="utf-8")
                options = os.environ.get("SPARK_SUBMIT_OPTS", "")
                os.environ["SPARK_SUBMIT_OPTS"] = f"{options} -Dlog4j2.configurationFile={properties}".strip()
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextlib.contextmanager
def _started(start: Callable[[], Any], flag: str) -> Iterator[Any]:
    """Yield the session that ``start`` returns; the errors of its start name the flag."""
    with _quiet_java() as said:
        try:
            session = start()
        except Exception as error:
            # Of Py4J, gRPC or Spark: they have no common base.
            log.debug("Spark did not start:", exc_info=True)
            raise ClusterError(f"{flag}: Spark did not start: {first_line(error)}{said()}") from error
    try:
        yield session
    finally:
        session.stop()


@contextlib.contextmanager
def _quiet_java() -> Iterator[Callable[[], str]]:
    """Send what Java and the workers that start in the block write to stdout and stderr, for their life, to a file.

    Spark's errors come as exceptions, too. With --verbosity=debug both stay what they are.

    Yields:
      A function that returns the last line written so far, for an error.
    """
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        yield lambda: ""
        return
    with tempfile.TemporaryFile() as file:
        before = {number: os.dup(number) for number in (1, 2)}

        def last_line() -> str:
            file.seek(0)
            lines = file.read()[-10_000:].decode("utf-8", "replace").strip().splitlines()
            return f" ({lines[-1].strip()})" if lines else ""

        try:
            sys.stdout.flush()
            sys.stderr.flush()
            for number in before:
                os.dup2(file.fileno(), number)
            yield last_line
        finally:
            for number, copy in before.items():
                os.dup2(copy, number)
                os.close(copy)


def first_line(error: BaseException) -> str:
    """Return the line of a message of Spark that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line in reversed(lines):
        if re.match(r"(Caused by: )?[\w.$]*(Error|Exception)\b", line) and "SparkException: Job aborted" not in line:
            return line.removeprefix("Caused by: ")
    return lines[0] if lines else type(error).__name__
