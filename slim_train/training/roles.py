"""Which task of which cluster this process is, by TF_CONFIG or by the flags for servers started by hand."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

from deployment.cluster import ClusterConfig, Task, parse_tf_config
from deployment.role_output import LINES_HAVE_PREFIXES
from deployment.task_status import PIPE, ReportWarnings
from slim_train.errors import UsageError
from slim_train.training_options import ClusterOptions

log = logging.getLogger(__name__)

_BY_HAND = ("master", "task", "worker_replicas", "num_ps_tasks")


def resolve_cluster(options: ClusterOptions) -> ClusterConfig:
    """Return the cluster of this process; one local task where neither TF_CONFIG nor a flag names any.

    Raises:
      ClusterError: TF_CONFIG is malformed.
      UsageError: TF_CONFIG and flags both name a cluster, the flags contradict each other, or the cluster cannot train.
    """
    by_hand = [name for name in _BY_HAND if getattr(options, name) != getattr(ClusterOptions(), name)]
    tf_config = os.environ.get("TF_CONFIG", "").strip()
    if tf_config and by_hand:
        raise UsageError(
            f"TF_CONFIG describes the cluster, and so does --{by_hand[0]}, which is for servers started by hand: "
            "unset one of them."
        )
    cluster = parse_tf_config(tf_config) if tf_config else _started_by_hand(options)
    if cluster.strategy == "all_reduce" and not tf_config:
        raise UsageError(
            f"--worker_replicas={cluster.num_replicas} without --num_ps_tasks means training by all-reduce, in which "
            "every worker must know the others' addresses: describe the cluster in TF_CONFIG instead."
        )
    if options.sync_replicas and not cluster.is_complete:
        raise UsageError("--sync_replicas requires a TF_CONFIG that lists every worker, not a sparse cluster.")
    if options.sync_replicas and not cluster.num_ps_tasks:
        log.warning("--sync_replicas is ignored: it requires parameter servers.")
    return cluster


@contextlib.contextmanager
def role_in_log(cluster: ClusterConfig) -> Iterator[None]:
    """While inside, every line of the log begins with the task's name, unless it leads or its launcher says it.

    The launcher, if it asks for them, learns of warnings.
    """
    is_said = cluster.role == "chief" or LINES_HAVE_PREFIXES in os.environ
    handlers = [] if is_said else logging.getLogger().handlers
    formatters = [(handler, handler.formatter) for handler in handlers]
    reports = ReportWarnings()
    if PIPE in os.environ:
        logging.getLogger().addHandler(reports)
    for handler, formatter in formatters:
        handler.setFormatter(_EveryLine(f"{cluster.own.name}: ", formatter or logging.Formatter()))
    try:
        yield
    finally:
        logging.getLogger().removeHandler(reports)
        for handler, formatter in formatters:
            handler.setFormatter(formatter)


class _EveryLine(logging.Formatter):
    """Puts a prefix before each line that another formatter makes."""

    def __init__(self, prefix: str, formatter: logging.Formatter) -> None:
        super().__init__()
        self._prefix, self._formatter = prefix, formatter

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(self._prefix + line for line in self._formatter.format(record).splitlines())


def _started_by_hand(options: ClusterOptions) -> ClusterConfig:
    if options.task >= options.worker_replicas:
        raise UsageError(f"--task={options.task} must be below --worker_replicas={options.worker_replicas}.")
    workers = [Task("worker", number, "worker", number, None) for number in range(options.worker_replicas)]
    servers = [Task("ps", number, "ps", number, None) for number in range(options.num_ps_tasks)]
    return ClusterConfig(workers[options.task], (*workers, *servers))
