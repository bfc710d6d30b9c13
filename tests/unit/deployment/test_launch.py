import json

import pytest

from deployment.cluster import ClusterError
from deployment.launch import LocalCluster, cluster_roles
from deployment.threads import available_cpus, thread_environment

ADDRESSES = [f"127.0.0.1:{port}" for port in range(4000, 4010)]


def _roles(**cluster):
    cluster = LocalCluster(**cluster)
    return cluster_roles(cluster, ADDRESSES[: sum(cluster.task_counts.values())])


def _environments(name, **cluster):
    return {role.name: role.environment.get(name) for role in _roles(**cluster)}


def test_roles_have_the_shape_of_a_kubeflow_job():
    roles = _roles(num_ps=1, num_workers=2, has_chief=True, has_evaluator=True)
    cluster = {"ps": ADDRESSES[:1], "chief": ADDRESSES[1:2], "worker": ADDRESSES[2:4], "evaluator": ADDRESSES[4:5]}
    assert {role.name: json.loads(role.environment["TF_CONFIG"]) for role in roles} == {
        "ps 0": {"cluster": cluster, "task": {"type": "ps", "index": 0}},
        "chief": {"cluster": cluster, "task": {"type": "chief", "index": 0}},
        "worker 0": {"cluster": cluster, "task": {"type": "worker", "index": 0}},
        "worker 1": {"cluster": cluster, "task": {"type": "worker", "index": 1}},
        "evaluator": {"cluster": cluster, "task": {"type": "evaluator", "index": 0}},
    }


@pytest.mark.parametrize(("has_chief", "leader"), [(True, "chief"), (False, "worker 0")])
def test_the_chief_leads_or_else_worker_0(has_chief, leader):
    roles = _roles(num_ps=1, num_workers=2, has_chief=has_chief, has_evaluator=True)
    assert [role.name for role in roles if role.leads] == [leader]


def test_only_parameter_servers_are_needed_beside_the_leader():
    roles = _roles(num_ps=2, num_workers=2, has_evaluator=True)
    assert [role.name for role in roles if role.is_needed] == ["ps 0", "ps 1"]


def test_parameter_servers_without_anybody_who_trains_are_refused():
    with pytest.raises(ClusterError, match="no task that trains"):
        _roles(num_ps=1, num_workers=0)


def test_cpus_are_shared_out_evenly_among_those_that_train():
    share = max(1, available_cpus() // 3)
    threads = _environments("TF_NUM_INTRAOP_THREADS", num_ps=1, num_workers=2, has_chief=True)
    assert threads == {
        "ps 0": str(min(share, 4)), "chief": str(share), "worker 0": str(share), "worker 1": str(share)
    }  # fmt: skip


def test_threads_can_be_given():
    threads = _environments(
        "OMP_NUM_THREADS", num_ps=1, num_workers=1, has_evaluator=True, threads_per_worker=7, threads_per_ps=5
    )
    assert threads == {"ps 0": "5", "worker 0": "7", "evaluator": "7"}


def test_one_thread_leaves_a_second_one_across_operations():
    assert thread_environment(1) == {
        "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "2", "OMP_NUM_THREADS": "1"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("visible", "shares"),
    [
        (None, {"ps 0": "-1", "chief": "0,1", "worker 0": "2,3", "evaluator": "-1"}),
        ("4,5,GPU-a,GPU-b,8", {"ps 0": "-1", "chief": "4,5", "worker 0": "GPU-a,GPU-b", "evaluator": "-1"}),
    ],
)
def test_gpus_are_shared_out_in_turn(visible, shares, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    cluster = {"num_ps": 1, "num_workers": 1, "has_chief": True, "has_evaluator": True}
    assert _environments("CUDA_VISIBLE_DEVICES", **cluster, gpus_per_worker=2) == shares


def test_fewer_gpus_than_needed_are_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with pytest.raises(ClusterError, match="2 GPUs, need 4, but CUDA_VISIBLE_DEVICES=0,1,2 has 3"):
        _roles(num_workers=2, gpus_per_worker=2)


def test_gpus_that_are_not_shared_out_stay_as_they_are():
    assert set(_environments("CUDA_VISIBLE_DEVICES", num_ps=1, num_workers=1).values()) == {None}
