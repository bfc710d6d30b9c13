"""A whole cluster as processes on this machine: addresses, TF_CONFIG and CPU threads of each role. No TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from deployment.cluster import ClusterConfig, ClusterError, parse_tf_config
from deployment.cluster_status import ClusterStatus, Publisher
from deployment.dashboard import Dashboard, can_draw
from deployment.role_output import LINES_HAVE_PREFIXES, write_to
from deployment.role_process import Role
from deployment.supervisor import Supervisor
from deployment.threads import available_cpus, thread_environment

_HOST = "127.0.0.1"
_MOST_PS_THREADS = 4


@dataclasses.dataclass(frozen=True)
class LocalCluster:
    """The roles of a cluster and what each gets of this machine.

    Attributes:
      num_ps: parameter servers; 0 for all-reduce.
      num_workers: workers, beside the chief if there is one.
      has_chief: whether a task of its own leads; otherwise worker 0 does.
      has_evaluator: whether a task evaluates checkpoints meanwhile.
      threads_per_worker: CPU threads of each task that trains, and of the evaluator; None: an equal share of the CPUs.
      threads_per_ps: CPU threads of each parameter server; None: as a worker's, but at most 4.
      gpus_per_worker: GPUs of each task that trains, in turn; the others get none. 0: GPUs are not shared out, every
        task sees all.
    """

    num_ps: int = 0
    num_workers: int = 1
    has_chief: bool = False
    has_evaluator: bool = False
    threads_per_worker: int | None = None
    threads_per_ps: int | None = None
    gpus_per_worker: int = 0

    @property
    def task_counts(self) -> dict[str, int]:
        """Tasks of each type, in the order in which they start.

        An evaluator is listed with the others, as Kubeflow lists it, so that the chief knows of it.
        """
        counts = {
            "ps": self.num_ps,
            "chief": int(self.has_chief),
            "worker": self.num_workers,
            "evaluator": int(self.has_evaluator),
        }
        return {task_type: count for task_type, count in counts.items() if count}


def launch(
    command: Sequence[str],
    cluster: LocalCluster,
    *,
    max_restarts: int,
    finish_secs: float,
    grace_secs: float,
    has_dashboard: bool = False,
    on_status: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """Run ``command`` once per role, each with its TF_CONFIG, and return the chief's exit code.

    See :class:`~deployment.supervisor.Supervisor` for restarts, signals, times and exit codes.

    Args:
      command: program and arguments.
      cluster: the roles.
      max_restarts: of each role.
      finish_secs: see there.
      grace_secs: see there.
      has_dashboard: whether to draw the state of the cluster, if stderr is a terminal.
      on_status: called about once a second, and at the end, with :meth:`ClusterStatus.to_dict`.

    Raises:
      ClusterError: there is no task that trains, or fewer GPUs than are to be shared out.
      OSError: the command cannot be started.
    """
    with _free_addresses(sum(cluster.task_counts.values())) as addresses:
        roles = cluster_roles(cluster, addresses)
        at = {role.name: parse_tf_config(role.environment["TF_CONFIG"]).own.address for role in roles}
        status = ClusterStatus(at, max_restarts)
        with ExitStack() as stack:
            views: list[Callable[[], None]] = []
            write = write_to
            if on_status:
                views.append(Publisher(status, on_status))
            if has_dashboard and can_draw():
                dashboard = stack.enter_context(Dashboard(status))
                views.append(dashboard.refresh)
                write = dashboard.write
            return Supervisor(
                command,
                roles,
                max_restarts=max_restarts,
                finish_secs=finish_secs,
                grace_secs=grace_secs,
                status=status,
                views=views,
                write=write,
            ).run()


def cluster_roles(cluster: LocalCluster, addresses: Sequence[str]) -> list[Role]:
    """Return the roles of a cluster whose tasks have these addresses, in the order of ``task_counts``.

    Raises:
      ClusterError: as :func:`launch`.
    """
    remaining = iter(addresses)
    spec = {task_type: [next(remaining) for _ in range(count)] for task_type, count in cluster.task_counts.items()}
    tasks = [{"type": task_type, "index": index} for task_type in spec for index in range(len(spec[task_type]))]
    return [_role(cluster, json.dumps({"cluster": spec, "task": task})) for task in tasks]


def _role(cluster: LocalCluster, tf_config: str) -> Role:
    config = parse_tf_config(tf_config)
    environment = {
        "TF_CONFIG": tf_config,
        LINES_HAVE_PREFIXES: "1",
        **_thread_share(cluster, config),
        **_gpu_share(cluster, config),
    }
    return Role(config.own.name, environment, leads=config.role == "chief", is_needed=config.role == "ps")


def _thread_share(cluster: LocalCluster, config: ClusterConfig) -> dict[str, str]:
    share = max(1, available_cpus() // config.num_replicas)
    if config.role == "ps":
        # It adds up what arrives: that takes memory bandwidth, of which few threads use all.
        return thread_environment(cluster.threads_per_ps or min(share, _MOST_PS_THREADS))
    return thread_environment(cluster.threads_per_worker or share)


def _gpu_share(cluster: LocalCluster, config: ClusterConfig) -> Mapping[str, str]:
    if not cluster.gpus_per_worker:
        return {}
    if config.own.job != "worker":
        return {"CUDA_VISIBLE_DEVICES": "-1"}
    num_needed = cluster.gpus_per_worker * config.num_replicas
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible is not None else [str(number) for number in range(num_needed)]
    if len(gpus) < num_needed:
        raise ClusterError(
            f"{config.num_replicas} tasks that train, each with {cluster.gpus_per_worker} GPUs, need {num_needed}, but "
            f"CUDA_VISIBLE_DEVICES={visible} has {len(gpus)}"
        )
    first = config.own.number * cluster.gpus_per_worker
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus[first : first + cluster.gpus_per_worker])}


@contextmanager
def _free_addresses(count: int) -> Iterator[list[str]]:
    """So many addresses on loopback with free ports.

    On Linux the ports stay set aside for as long as the block lasts: they are bound here but nobody listens, so the
    system gives them to nobody who asks for any port, while a server that asks for just this one, with SO_REUSEADDR as
    servers do, gets it, again after a restart.
    """
    sockets = []
    try:
        for _ in range(count):
            sockets.append(socket.socket())
            sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sockets[-1].bind((_HOST, 0))
        addresses = [f"{_HOST}:{bound.getsockname()[1]}" for bound in sockets]
        if sys.platform != "linux":
            _close(sockets)
        yield addresses
    finally:
        _close(sockets)


def _close(sockets: Sequence[socket.socket]) -> None:
    for bound in sockets:
        bound.close()
