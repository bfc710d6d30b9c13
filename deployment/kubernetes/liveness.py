"""Is the task of this container alive? Asked of its own TensorFlow server, for a livenessProbe. No TensorFlow.

    python -m deployment.kubernetes.liveness --timeout_secs=10

Exit code 0: the server answers, or there is none: the task is still starting, or its role has no server (an evaluator,
training in one process). Exit code 1: the port is open, but nothing answers, as when the process is stopped or stuck.
Exit code 2: TF_CONFIG is malformed.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys

from deployment.cluster import ClusterError, Task, parse_tf_config

# Of every host, without DNS: if that fails, nobody is to be killed.
_OWN_HOST = "127.0.0.1"


def fault(task: Task, timeout_secs: float) -> str | None:
    """Return what is wrong with the task of this machine, as a sentence, or None if nothing is."""
    if task.job is None or task.address is None:
        return None
    port = int(task.address.rpartition(":")[2])
    try:
        socket.create_connection((_OWN_HOST, port), timeout_secs).close()
    except ConnectionRefusedError:
        # A hung process still has its port open. This one has yet to start its server: Kubernetes sees a process end.
        return None
    except OSError as error:
        return f"{task.name} accepts no connections at port {port}: {error}."
    from deployment.peers import Peers  # imports gRPC, which takes longer than all the rest

    peers = Peers({task.name: f"{_OWN_HOST}:{port}"})
    answer = peers.statuses(timeout_secs)[task.name]
    peers.close()
    return None if answer is not None else f"{task.name} has not answered at port {port} for {timeout_secs:g} s."


def main() -> int:
    """Ask, and say what is wrong on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m deployment.kubernetes.liveness", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--timeout_secs", type=float, default=10, help="how long the answer may take; default: 10")
    arguments = parser.parse_args()
    try:
        found = fault(parse_tf_config(os.environ.get("TF_CONFIG")).own, arguments.timeout_secs)
    except ClusterError as error:
        parser.error(str(error))
    if found:
        parser.exit(1, f"{found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
