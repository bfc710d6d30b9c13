"""A parameter server in this process, and what tells it that its job is over."""

from __future__ import annotations

import json
import logging
import socket
import threading

import pytest

from deployment.cluster import ClusterConfig, parse_tf_config
from deployment.parameter_server import report_done, serve_parameters
from deployment.servers import POLL_SECS, LostTaskError, parameter_server_config, start_server


def _tasks(num_workers: int) -> list[ClusterConfig]:
    """The cluster as its parameter server and each of its workers sees it, on free ports of this machine."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(1 + num_workers)]
    ps, *workers = [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]
    for probe in probes:
        probe.close()
    cluster = {"ps": [ps], "worker": workers}
    tasks = [("ps", 0), *(("worker", index) for index in range(num_workers))]
    return [
        parse_tf_config(json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))
        for kind, index in tasks
    ]


def test_it_serves_until_every_training_task_has_said_that_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deployment.parameter_server")
    own, *workers = _tasks(2)
    servers = [start_server(worker, parameter_server_config(worker)) for worker in workers]
    serving = threading.Thread(target=serve_parameters, args=(own, 60), daemon=True)
    serving.start()
    while "Serving parameters" not in caplog.text:  # Before that its port is closed, and nobody is told.
        serving.join(0.05)
    report_done(workers[0], servers[0].target)
    while "worker 0 is done." not in caplog.text:
        serving.join(0.05)
    serving.join(2 * POLL_SECS)
    assert serving.is_alive(), "worker 1 is there, and not done"
    report_done(workers[1], servers[1].target)
    serving.join(60)
    assert not serving.is_alive()
    messages = [record.getMessage() for record in caplog.records]
    assert messages[-3:] == ["worker 0 is done.", "worker 1 is done.", "Every training task is done."]


def test_it_gives_up_where_the_chief_never_appears() -> None:
    own, _ = _tasks(1)
    with pytest.raises(LostTaskError, match="worker 0"):
        serve_parameters(own, wait_secs=0.1)


def test_a_server_that_is_gone_needs_not_be_told() -> None:
    _, worker = _tasks(1)
    report_done(worker, start_server(worker, parameter_server_config(worker)).target)
