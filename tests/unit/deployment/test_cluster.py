from __future__ import annotations

import json
from typing import Any

import pytest

from deployment.cluster import ClusterError, parse_tf_config


def parse(cluster: Any, task: Any, **others: Any) -> Any:
    return parse_tf_config(json.dumps({"cluster": cluster, "task": task, **others}))


# One master, two parameter servers, one worker: the UAI example's job.
UAI = {"master": ["m:1"], "ps": ["p0:1", "p1:1"], "worker": ["w0:1"]}
# A Kubeflow TFJob with every type of task.
TFJOB = {"chief": ["c:1"], "worker": ["w0:1", "w1:1"], "ps": ["p0:1"], "evaluator": ["e:1"]}
NO_CHIEF = {"worker": ["w0:1", "w1:1", "w2:1"], "ps": ["p0:1"]}
ALL_REDUCE = {"worker": ["w0:1", "w1:1"]}


@pytest.mark.parametrize(
    ("cluster", "task_type", "index", "role", "device", "num_ps_tasks", "num_replicas", "strategy"),
    [
        (UAI, "master", 0, "chief", "/job:worker/task:0", 2, 2, "parameter_servers"),
        (UAI, "worker", 0, "worker", "/job:worker/task:1", 2, 2, "parameter_servers"),
        (UAI, "ps", 1, "ps", "/job:ps/task:1", 2, 2, "parameter_servers"),
        (TFJOB, "chief", 0, "chief", "/job:worker/task:0", 1, 3, "parameter_servers"),
        (TFJOB, "worker", 1, "worker", "/job:worker/task:2", 1, 3, "parameter_servers"),
        (TFJOB, "evaluator", 0, "evaluator", "", 1, 3, "parameter_servers"),
        # Without a chief worker 0 leads, and no number is shifted.
        (NO_CHIEF, "worker", 0, "chief", "/job:worker/task:0", 1, 3, "parameter_servers"),
        (NO_CHIEF, "worker", 2, "worker", "/job:worker/task:2", 1, 3, "parameter_servers"),
        # Nobody lists an evaluator that nobody connects to.
        (NO_CHIEF, "evaluator", 0, "evaluator", "", 1, 3, "parameter_servers"),
        (ALL_REDUCE, "worker", 0, "chief", "/job:worker/task:0", 0, 2, "all_reduce"),
        (ALL_REDUCE, "worker", 1, "worker", "/job:worker/task:1", 0, 2, "all_reduce"),
        ({"chief": ["c:1"], "worker": ["w0:1"]}, "worker", 0, "worker", "/job:worker/task:1", 0, 2, "all_reduce"),
        # One training task needs nobody; an evaluator beside it changes nothing.
        ({"chief": ["c:1"]}, "chief", 0, "chief", "/job:worker/task:0", 0, 1, "local"),
        ({"worker": ["w0:1"], "evaluator": ["e:1"]}, "worker", 0, "chief", "/job:worker/task:0", 0, 1, "local"),
        ({"chief": ["c:1"], "ps": ["p0:1"]}, "chief", 0, "chief", "/job:worker/task:0", 1, 1, "parameter_servers"),
        # No cluster: a training service's job of one process.
        ({}, "master", 0, "chief", "/job:worker/task:0", 0, 1, "local"),
        # Empty lists are as good as none.
        ({"worker": ["w0:1"], "ps": [], "chief": None}, "worker", 0, "chief", "/job:worker/task:0", 0, 1, "local"),
    ],
)
def test_roles(
    cluster: Any,
    task_type: str,
    index: int,
    role: str,
    device: str,
    num_ps_tasks: int,
    num_replicas: int,
    strategy: str,
) -> None:
    config = parse(cluster, {"type": task_type, "index": index})
    assert config.role == role
    assert config.own.device == device
    assert (config.num_ps_tasks, config.num_replicas) == (num_ps_tasks, num_replicas)
    assert config.strategy == strategy
    assert config.is_complete
    assert config.own in config.tasks


@pytest.mark.parametrize("text", [None, "", "  ", "{}", '{"cluster": {}}', '{"cluster": {}, "task": {}, "job": {}}'])
def test_without_a_cluster_training_is_local(text: str | None) -> None:
    config = parse_tf_config(text)
    assert (config.role, config.strategy) == ("chief", "local")
    assert (config.num_ps_tasks, config.num_replicas, config.jobs()) == (0, 1, {})


def test_jobs_are_tensorflows_own() -> None:
    assert parse(TFJOB, {"type": "chief", "index": 0}).jobs() == {
        "worker": {0: "c:1", 1: "w0:1", 2: "w1:1"},
        "ps": {0: "p0:1"},
    }


@pytest.mark.parametrize("task", [{"type": "worker", "index": "1"}, {"type": "Worker", "index": 1}])
def test_indexes_may_be_text_and_types_of_any_case(task: dict[str, Any]) -> None:
    config = parse({"PS": ["p0:1"], "Worker": ["w0:1", "w1:1"]}, task)
    assert (config.own.type, config.own.number, config.own.address) == ("worker", 1, "w1:1")


def test_other_keys_are_passed_over() -> None:
    task = {"type": "worker", "index": 1, "trial": "3", "cloud": "x"}
    assert parse(NO_CHIEF, task, environment="cloud", job={"a": 1}, trial=2) == parse(NO_CHIEF, task)


@pytest.mark.parametrize("address", ["not-there-yet.svc.cluster.local:2222", "10.0.0.1:1", "[::1]:65535", "a_b-C.d:22"])
def test_addresses_need_not_resolve(address: str) -> None:
    assert parse({"worker": [address]}, {"type": "worker", "index": 0}).own.address == address


def test_workers_may_be_an_object_of_indexes() -> None:
    config = parse({"worker": {"1": "w1:1", "0": "w0:1"}, "ps": ["p0:1"]}, {"type": "worker", "index": 1})
    assert config.jobs()["worker"] == {0: "w0:1", 1: "w1:1"}
    assert config.is_complete


def test_workers_of_a_sparse_cluster_keep_their_numbers() -> None:
    config = parse({"chief": ["c:1"], "worker": {"2": "w2:1"}, "ps": ["p0:1"]}, {"type": "worker", "index": 2})
    assert config.jobs()["worker"] == {0: "c:1", 3: "w2:1"}
    assert (config.own.number, config.num_replicas, config.is_complete) == (3, 4, False)


def kubeflow_sparse(worker: Any, ps: Any, task_type: str, index: int) -> Any:
    """What Kubeflow writes for a TFJob with enableDynamicWorker."""
    config = {"sparseCluster": {"worker": worker, "ps": ps}, "task": {"type": task_type, "index": index}}
    return parse_tf_config(json.dumps(config))


def test_a_kubeflow_sparse_worker_knows_itself_and_the_servers() -> None:
    config = kubeflow_sparse({"1": "w1:1"}, ["p0:1", "p1:1"], "worker", 1)
    assert config.jobs() == {"worker": {1: "w1:1"}, "ps": {0: "p0:1", 1: "p1:1"}}
    assert (config.role, config.strategy, config.is_complete) == ("worker", "parameter_servers", False)


def test_a_kubeflow_sparse_server_knows_only_itself() -> None:
    config = kubeflow_sparse({}, ["p1:1"], "ps", 1)
    assert config.jobs() == {"ps": {1: "p1:1"}}
    assert (config.role, config.own.device, config.is_complete) == ("ps", "/job:ps/task:1", False)


def test_a_kubeflow_sparse_evaluator_knows_nobody() -> None:
    assert kubeflow_sparse({}, [], "evaluator", 0).role == "evaluator"


WORKER_0 = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        # Not what TF_CONFIG is at all.
        ('{"cluster": ', r"not JSON: Expecting value at character 12, near '\{\"cluster\": '"),
        ("[]", r"TF_CONFIG must be an object, got \[\]"),
        ({"cluster": ["w0:1"], "task": WORKER_0}, r"TF_CONFIG cluster must be an object, got \['w0:1'\]"),
        ({"cluster": NO_CHIEF, "task": "worker 0"}, "TF_CONFIG task must be an object, got 'worker 0'"),
        # Tasks.
        ({"cluster": NO_CHIEF}, "task.type is missing"),
        ({"cluster": NO_CHIEF, "task": {"type": "worker"}}, "task.index is missing"),
        ({"cluster": NO_CHIEF, "task": {"type": "slave", "index": 0}}, "task.type: unknown type 'slave'.*Valid: chief"),
        ({"cluster": NO_CHIEF, "task": {"type": "workers", "index": 0}}, r"task.type: .* Did you mean worker\?"),
        ({"cluster": NO_CHIEF, "task": {"type": 3, "index": 0}}, "task.type: unknown type 3"),
        (
            {"cluster": NO_CHIEF, "task": {"type": "worker", "index": -1}},
            "task.index must be a whole number from 0, got -1",
        ),
        ({"cluster": NO_CHIEF, "task": {"type": "worker", "index": "one"}}, "task.index must be .*, got 'one'"),
        ({"cluster": NO_CHIEF, "task": {"type": "worker", "index": 1.5}}, "task.index must be .*, got 1.5"),
        ({"cluster": NO_CHIEF, "task": {"type": "worker", "index": True}}, "task.index must be .*, got True"),
        (
            {"cluster": NO_CHIEF, "task": {"type": "worker", "index": 3}},
            "task is worker 3, but the cluster has worker 0, worker 1, worker 2",
        ),
        ({"cluster": NO_CHIEF, "task": {"type": "ps", "index": 1}}, "task is ps 1, but the cluster has ps 0"),
        ({"cluster": NO_CHIEF, "task": {"type": "chief", "index": 0}}, "task is chief 0, but the cluster has no chief"),
        ({"cluster": UAI, "task": {"type": "chief", "index": 0}}, "task is chief 0, but the cluster has no chief"),
        ({"cluster": TFJOB, "task": {"type": "evaluator", "index": 1}}, "task is evaluator 1, .* has evaluator 0"),
        ({"cluster": {}, "task": {"type": "worker", "index": 1}}, "task is worker 1, but the cluster has no worker"),
        ({"cluster": {}, "task": {"type": "ps", "index": 0}}, "task is ps 0, but the cluster has no ps"),
        # The cluster.
        ({"cluster": {"boss": ["a:1"]}, "task": WORKER_0}, "cluster: unknown type 'boss'"),
        ({"cluster": {"worker": ["a:1"], "Worker": ["b:1"]}, "task": WORKER_0}, "cluster names worker twice"),
        ({"cluster": {"worker": "a:1"}, "task": WORKER_0}, "cluster.worker must be a list of addresses .*, got 'a:1'"),
        (
            {"cluster": {"worker": {"x": "a:1"}}, "task": WORKER_0},
            "cluster.worker key must be a whole number .* got 'x'",
        ),
        ({"cluster": {"chief": ["a:1"], "master": ["b:1"]}, "task": WORKER_0}, "both chief and master"),
        ({"cluster": {"chief": ["a:1", "b:1"]}, "task": WORKER_0}, "cluster.chief must hold one address, got 2"),
        (
            {"cluster": {**NO_CHIEF, "evaluator": ["a:1", "b:1"]}, "task": WORKER_0},
            "cluster.evaluator must hold one address, got 2",
        ),
        ({"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}, "cluster has ps, but no task that trains"),
        (
            {"cluster": {"worker": ["a:1", "b:1"], "ps": ["B:1"]}, "task": WORKER_0},
            r"worker\[1\] and ps\[0\] share address B:1",
        ),
        ({"cluster": NO_CHIEF, "sparseCluster": NO_CHIEF, "task": WORKER_0}, "both cluster and sparseCluster"),
        # Workers that know neither each other nor all servers would each train alone.
        (
            {"sparseCluster": {"worker": {"0": "a:1"}, "ps": []}, "task": WORKER_0},
            r"meet at the parameter servers, which ps must list from 0 without gaps, got \[\]",
        ),
        (
            {"cluster": {"worker": ["a:1"], "ps": {"1": "p1:1"}}, "task": WORKER_0},
            r"ps must list from 0 without gaps, got \[1\]",
        ),
        ({"cluster": {"worker": {"1": "b:1"}}, "task": {"type": "worker", "index": 1}}, r"without gaps, got \[\]"),
        *(
            ({"cluster": {"worker": ["a:1", address]}, "task": WORKER_0}, r"cluster.worker\[1\] must be host:port, got")
            for address in (
                "b",
                "b:",
                ":1",
                "b:0",
                "b:65536",
                "b:port",
                "grpc://b:1",
                "b:1/x",
                "b :1",
                "::1:1",
                1,
                None,
            )
        ),
    ],
)
def test_malformed_input_is_refused_with_the_part_named(config: Any, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        parse_tf_config(config if isinstance(config, str) else json.dumps(config))


def test_the_table_shows_every_task_and_marks_this_one() -> None:
    assert parse(UAI | {"evaluator": ["eval.example:2222"]}, WORKER_0).describe().splitlines() == [
        "Training with parameter servers:",
        "  master     /job:worker/task:0   m:1",
        "  worker 0   /job:worker/task:1   w0:1               <- this task",
        "  ps 0       /job:ps/task:0       p0:1",
        "  ps 1       /job:ps/task:1       p1:1",
        "  evaluator  outside the cluster  eval.example:2222",
    ]


@pytest.mark.parametrize(
    ("config", "title"),
    [
        (parse_tf_config(None), "Training in one process:"),
        (parse(ALL_REDUCE, WORKER_0), "Training with all-reduce:"),
        (
            kubeflow_sparse({"1": "w1:1"}, ["p0:1"], "worker", 1),
            "Training with parameter servers, in a sparse cluster, which may have more tasks than these:",
        ),
    ],
)
def test_the_table_begins_with_how_training_runs(config: Any, title: str) -> None:
    assert config.describe().splitlines()[0] == title
