"""TensorFlow servers of a cluster's tasks: starting one, and waiting for those of others."""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

import tensorflow.compat.v1 as tf

from deployment import collectives, task_status
from deployment.cluster import ClusterConfig, ClusterError, Task
from deployment.devices import DeploymentConfig, session_config

log = logging.getLogger(__name__)

POLL_SECS = 0.5
_PROBE_TIMEOUT_SECS = 2.0
# Read by TensorFlow. By default a call to a task that is out of reach (session.close() makes some) waits until the task
# is back or an attempt to connect has failed, after 20 s; and a host name is not looked up again for 30 s.
_GRPC_ENVIRONMENT = {
    "GRPC_FAIL_FAST": "true",
    "TF_GRPC_DEFAULT_OPTIONS": ",".join(
        (
            "grpc.initial_reconnect_backoff_ms=500",
            "grpc.min_reconnect_backoff_ms=2000",
            "grpc.max_reconnect_backoff_ms=2000",
            "grpc.dns_min_time_between_resolutions_ms=2000",
        )
    ),
}


class LostTaskError(RuntimeError):
    """Other tasks of the cluster did not appear, or went away for good; the message names them."""


class Interrupted(Exception):
    """Waiting for other tasks was broken off, because this one is to stop."""


def start_server(cluster: ClusterConfig, config: tf.ConfigProto) -> tf.distribute.Server:
    """Start the TensorFlow server of this task on the port that the cluster gives it.

    Args:
      config: that of the task's session will do.

    Raises:
      ClusterError: the port is taken. Tried first, since TensorFlow reports it in C++, lines long.
    """
    assert cluster.own.job is not None and cluster.own.address is not None
    _check_port_is_free(cluster.own)
    for name, value in _GRPC_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    server_config = tf.ConfigProto()
    server_config.CopyFrom(config)
    # It would isolate all sessions, those of other tasks on this server too.
    server_config.isolate_session_state = False
    return tf.distribute.Server(
        tf.train.ClusterSpec(cluster.jobs()),
        job_name=cluster.own.job,
        task_index=cluster.own.number,
        protocol="grpc",
        config=server_config,
    )


def training_config(cluster: ClusterConfig, deployment: DeploymentConfig) -> tf.ConfigProto:
    """Session and server options of a task that trains: it sees the parameter servers and itself.

    So no task waits for another worker, be it late or dead; without parameter servers only its collective ops do.
    TF_NUM_INTRAOP_THREADS and TF_NUM_INTEROP_THREADS in the environment bound its threads, where several tasks share a
    machine.
    """
    config = session_config(deployment, *_threads_from_environment())
    if cluster.strategy == "parameter_servers":
        config.device_filters.extend(["/job:ps", cluster.own.device])
    elif cluster.strategy == "all_reduce":
        config = collectives.session_config(config, cluster.own.number)
    return config


def parameter_server_config(cluster: ClusterConfig) -> tf.ConfigProto:
    """Session options for a parameter server: no GPU, isolated from other tasks."""
    intra_op, inter_op = _threads_from_environment()
    config = tf.ConfigProto(
        device_count={"GPU": 0},
        device_filters=[cluster.own.device],
        intra_op_parallelism_threads=intra_op,
        inter_op_parallelism_threads=inter_op,
    )
    # It waits for most of a step. Threads that wait by looking for work take CPU from workers on the same machine.
    config.experimental.disable_thread_spinning = True
    return config


def is_reachable(task: Task) -> bool:
    """Whether something accepts connections at the task's address; False also where its name does not resolve."""
    host, port = _host_and_port(task)
    try:
        with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_SECS) as connection:
            # On one machine a probe of a port where nobody listens can meet itself.
            return connection.getsockname() != connection.getpeername()
    except OSError:
        return False


def unreachable(tasks: Iterable[Task]) -> list[str]:
    """Return those of ``tasks`` that have an address and do not answer there, as ``worker 1 (host:port)``."""
    return [f"{task.name} ({task.address})" for task in tasks if task.address and not is_reachable(task)]


def reason(error: tf.errors.OpError) -> str:
    """Return the one line of TensorFlow's message that is for people."""
    lines = [line.strip() for line in error.message.splitlines()]
    # Before it: where the node was made.
    nodes = [number for number, line in enumerate(lines) if line.startswith("Node: ")]
    lines = lines[nodes[-1] + 1 :] if nodes else lines
    said = [line for line in lines if line and not line.startswith(("From /job:", "[[", "Graph execution error"))]
    return said[0].rstrip(".") if said else type(error).__name__


def wait_until_none_missing(
    missing: Callable[[], Sequence[str]],
    limit_secs: float,
    is_interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Ask ``missing`` for names again and again until there are none, saying once for whom we wait.

    Args:
      limit_secs: patience; 0 waits forever.
      is_interrupted: asked between two looks.

    Raises:
      LostTaskError: some are still missing after ``limit_secs``.
      Interrupted: ``is_interrupted`` said so.
    """
    began = time.monotonic()
    with ExitStack() as waiting:
        said: Sequence[str] = ()
        while names := missing():
            if is_interrupted():
                raise Interrupted
            if limit_secs and time.monotonic() - began > limit_secs:
                raise LostTaskError(f"waited {limit_secs:g} s without success for {', '.join(names)}")
            if not said:
                log.info("Waiting for %s.", ", ".join(names))
                waiting.enter_context(task_status.during("waiting"))
            if names != said:
                task_status.report(waiting_for=names)
                said = names
            time.sleep(POLL_SECS)


def _check_port_is_free(task: Task) -> None:
    _, port = _host_and_port(task)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Without it, connections of a process just gone would still hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ClusterError(
                f"Port {port} of this machine is taken: {task.name} is to listen there ({task.address} in TF_CONFIG). "
                "Is an earlier run still going?"
            ) from error
        raise ClusterError(f"{task.name} cannot listen on port {port} ({task.address}): {error.strerror}") from error


def _host_and_port(task: Task) -> tuple[str, int]:
    assert task.address is not None
    host, _, port = task.address.rpartition(":")
    return host.strip("[]"), int(port)


def _threads_from_environment() -> tuple[int, int]:
    """Threads within an operation, and operations at the same time; 0 where the environment does not say."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    intra_op, inter_op = (int(value) if (value := os.environ.get(name, "")).isdigit() else 0 for name in names)
    return intra_op, inter_op
