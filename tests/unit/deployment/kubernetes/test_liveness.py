import json
import os
import socket
import subprocess
import sys
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from deployment.cluster import Task
from deployment.kubernetes.liveness import fault

ROOT = Path(__file__).resolve().parents[4]


def _probe(port, task="worker", environment=None):
    """The probe of a task at ``port`` of this machine, whose host name does not resolve."""
    cluster = {"worker": [f"no-such-host.invalid:{port}"], "ps": ["other.invalid:1"]}
    tf_config = json.dumps({"cluster": cluster, "task": {"type": task, "index": 0}})
    return subprocess.run(
        [sys.executable, "-m", "deployment.kubernetes.liveness", "--timeout_secs=1"],
        cwd=ROOT, env={**os.environ, "TF_CONFIG": tf_config, **(environment or {})},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def closed_port():
    """A port where nobody listens, held so that nobody does."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_task_whose_server_answers_is_alive():
    status = grpc.unary_unary_rpc_method_handler(lambda request, context: b"devices")
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("tensorflow.WorkerService", {"GetStatus": status})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    result = _probe(port)
    server.stop(grace=0).wait()
    assert (result.returncode, result.stderr) == (0, "")


def test_a_task_that_accepts_connections_and_never_answers_is_not():
    with socket.create_server(("127.0.0.1", 0)) as hung:
        port = hung.getsockname()[1]
        result = _probe(port)
    assert (result.returncode, result.stderr) == (1, f"worker 0 has not answered at port {port} for 1 s.\n")


def test_a_task_that_takes_no_more_connections_is_not():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as hung, socket.socket() as first, socket.socket() as second:
        port = hung.getsockname()[1]
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        found = fault(Task("worker", 1, "worker", 1, f"no-such-host.invalid:{port}"), timeout_secs=0.2)
    assert found == f"worker 1 accepts no connections at port {port}: timed out."


def test_a_task_that_has_not_started_its_server_yet_is_alive(closed_port):
    assert _probe(closed_port).returncode == 0


@pytest.mark.parametrize(
    "tf_config", ["", '{"task": {"type": "evaluator", "index": 0}, "cluster": {"worker": ["a:1"]}}']
)
def test_a_task_without_a_server_is_alive(closed_port, tf_config):
    assert _probe(closed_port, environment={"TF_CONFIG": tf_config}).returncode == 0


def test_a_malformed_tf_config_is_one_clear_line(closed_port):
    result = _probe(closed_port, task="wrker")
    assert result.returncode == 2
    assert "TF_CONFIG task.type: unknown type 'wrker'. Did you mean worker?" in result.stderr
