from __future__ import annotations

import logging

import pytest

from deployment.role_output import LINES_HAVE_PREFIXES
from slim_train.errors import UsageError
from slim_train.training import roles
from slim_train.training_options import ClusterOptions

PS_CLUSTER = '{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}, "task": {"type": "worker", "index": 1}}'


@pytest.fixture(autouse=True)
def no_tf_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv(LINES_HAVE_PREFIXES, raising=False)


def test_without_tf_config_and_flags_a_process_trains_alone():
    cluster = roles.resolve_cluster(ClusterOptions())
    assert (cluster.role, cluster.strategy) == ("chief", "local")


def test_tf_config_names_the_role(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", PS_CLUSTER)
    cluster = roles.resolve_cluster(ClusterOptions())
    assert (cluster.role, cluster.own.name, cluster.strategy) == ("worker", "worker 1", "parameter_servers")


def test_flags_for_servers_started_by_hand_make_a_cluster_without_addresses():
    cluster = roles.resolve_cluster(ClusterOptions(master="grpc://a:1", task=1, worker_replicas=2, num_ps_tasks=3))
    assert (cluster.role, cluster.num_replicas, cluster.num_ps_tasks) == ("worker", 2, 3)
    assert cluster.jobs() == {}


def test_tf_config_and_flags_for_servers_started_by_hand_exclude_each_other(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", PS_CLUSTER)
    with pytest.raises(UsageError, match="--num_ps_tasks"):
        roles.resolve_cluster(ClusterOptions(num_ps_tasks=1))


def test_a_task_number_beyond_the_replicas_is_refused():
    with pytest.raises(UsageError, match="--task=2 must be below --worker_replicas=2"):
        roles.resolve_cluster(ClusterOptions(task=2, worker_replicas=2, num_ps_tasks=1))


def test_all_reduce_needs_the_addresses_of_tf_config(monkeypatch):
    with pytest.raises(UsageError, match="--worker_replicas=2 without --num_ps_tasks .* TF_CONFIG"):
        roles.resolve_cluster(ClusterOptions(worker_replicas=2))
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}')
    assert roles.resolve_cluster(ClusterOptions()).strategy == "all_reduce"


def test_synchronous_replicas_are_refused_in_a_sparse_cluster(monkeypatch):
    sparse = '{"sparseCluster": {"worker": {"1": "b:1"}, "ps": ["c:1"]}, "task": {"type": "worker", "index": 1}}'
    monkeypatch.setenv("TF_CONFIG", sparse)
    with pytest.raises(UsageError, match="sparse"):
        roles.resolve_cluster(ClusterOptions(sync_replicas=True))


@pytest.mark.parametrize(("launcher", "prefix"), [("", "worker 1: "), ("launch_cluster", "")])
def test_every_line_of_a_workers_log_begins_with_its_name_unless_its_launcher_says_it(monkeypatch, launcher, prefix):
    monkeypatch.setenv("TF_CONFIG", PS_CLUSTER)
    if launcher:
        monkeypatch.setenv(LINES_HAVE_PREFIXES, "1")
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    record = logging.LogRecord("name", logging.INFO, "file", 1, "two\nlines", None, None)
    try:
        with roles.role_in_log(roles.resolve_cluster(ClusterOptions())):
            assert handler.format(record) == f"{prefix}two\n{prefix}lines"
        assert handler.format(record) == "two\nlines"
    finally:
        logging.getLogger().removeHandler(handler)
