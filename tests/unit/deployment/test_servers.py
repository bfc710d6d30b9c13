from __future__ import annotations

import logging
import socket

import pytest
import tensorflow.compat.v1 as tf

from deployment import servers
from deployment.cluster import ClusterError, Task, parse_tf_config
from deployment.devices import DeploymentConfig

CLUSTER = (
    '{"cluster": {"chief": ["127.0.0.1:%d"], "ps": ["127.0.0.1:1"], "worker": ["no-such-host.invalid:2222"]},'
    ' "task": {"type": "chief", "index": 0}}'
)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _port(listener):
    return listener.getsockname()[1]


def test_a_task_is_reachable_where_something_listens(listener):
    assert servers.is_reachable(Task("worker", 0, "worker", 0, f"127.0.0.1:{_port(listener)}"))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:2222"])
def test_a_task_is_out_of_reach_where_nothing_listens_or_its_name_does_not_resolve(address):
    task = Task("worker", 3, "worker", 3, address)
    assert not servers.is_reachable(task)
    assert servers.unreachable([task]) == [f"worker 3 ({address})"]


def test_a_task_without_an_address_is_not_missed():
    assert servers.unreachable([Task("ps", 0, "ps", 0, None)]) == []


def test_a_port_that_is_taken_is_an_error_that_names_port_and_task(listener):
    cluster = parse_tf_config(CLUSTER % _port(listener))
    with pytest.raises(ClusterError, match=rf"Port {_port(listener)} .*chief"):
        servers.start_server(cluster, servers.training_config(cluster, DeploymentConfig(num_ps_tasks=1)))


def test_a_worker_sees_the_parameter_servers_and_itself(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    cluster = parse_tf_config(CLUSTER % 2222)
    config = servers.training_config(cluster, DeploymentConfig(num_ps_tasks=1, num_replicas=2))
    assert list(config.device_filters) == ["/job:ps", "/job:worker/task:0"]
    assert config.intra_op_parallelism_threads == 3
    assert config.inter_op_parallelism_threads == 0


def test_waiting_names_the_missing_once_and_ends_when_they_are_there(monkeypatch, caplog):
    monkeypatch.setattr(servers, "POLL_SECS", 0)
    answers = iter([["ps 0 (a:1)"], ["ps 0 (a:1)"], []])
    with caplog.at_level(logging.INFO):
        servers.wait_until_none_missing(lambda: next(answers), limit_secs=0)
    assert caplog.messages == ["Waiting for ps 0 (a:1)."]


def test_waiting_gives_up_with_the_names_of_the_missing(monkeypatch):
    monkeypatch.setattr(servers, "POLL_SECS", 0)
    with pytest.raises(servers.LostTaskError, match="without success for ps 0"):
        servers.wait_until_none_missing(lambda: ["ps 0 (a:1)"], limit_secs=1e-6)


def test_waiting_can_be_interrupted():
    with pytest.raises(servers.Interrupted):
        servers.wait_until_none_missing(lambda: ["ps 0 (a:1)"], limit_secs=0, is_interrupted=lambda: True)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Socket closed", "Socket closed"),
        ("From /job:ps/replica:0/task:0:\nSocket closed\nAdditional GRPC error information", "Socket closed"),
        (
            "Graph execution error:\n\nDetected at node 'a' defined at:\n  File x\nNode: 'a'\nWhy.\n\t [[{{node a}}]]",
            "Why",
        ),
        ("", "UnavailableError"),
    ],
)
def test_the_line_for_people_is_found(message, reason):
    assert servers.reason(tf.errors.UnavailableError(None, None, message)) == reason
