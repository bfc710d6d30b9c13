import dataclasses
import json

import pytest
import yaml

from deployment.kubernetes.tfjob import render


@pytest.fixture
def manifests(training_job):
    """``manifests(num_ps=0)``: the NetworkPolicy and the TFJob."""
    return lambda **changes: list(yaml.safe_load_all(render(dataclasses.replace(training_job, **changes))))


@pytest.fixture
def roles(manifests):
    return lambda **changes: manifests(**changes)[1]["spec"]["tfReplicaSpecs"]


@pytest.fixture
def pods(roles):
    return lambda **changes: {role: spec["template"]["spec"] for role, spec in roles(**changes).items()}


@pytest.fixture
def containers(pods):
    return lambda **changes: {role: pod["containers"][0] for role, pod in pods(**changes).items()}


def test_every_role_has_its_replicas_and_is_restarted_when_it_fails(roles):
    assert {role: spec["replicas"] for role, spec in roles().items()} == {
        "Chief": 1, "PS": 2, "Worker": 3, "Evaluator": 1
    }  # fmt: skip
    assert {spec["restartPolicy"] for spec in roles().values()} == {"OnFailure"}


def test_roles_without_replicas_are_left_out(roles):
    assert set(roles(num_ps=0, num_evaluators=0, num_chiefs=0)) == {"Worker"}


def test_the_end_of_the_chief_kills_nobody(manifests):
    assert manifests()[1]["spec"]["runPolicy"] == {"cleanPodPolicy": "None", "backoffLimit": 7}


def test_every_role_runs_the_same_command(containers):
    for container in containers().values():
        assert container["name"] == "tensorflow"
        assert container["image"] == "registry.example/slim-train:1"
        assert container["command"] == ["train_image_classifier"]
        assert container["args"] == ["--dataset_dir=/data/fer", "--train_dir=/models/fer"]
        assert container["ports"] == [{"name": "tfjob-port", "containerPort": 2222}]


def test_gpus_go_to_the_tasks_that_train(containers):
    limits = {role: container["resources"]["limits"] for role, container in containers().items()}
    training = {"cpu": "6", "memory": "16Gi", "nvidia.com/gpu": "2"}
    assert limits == {
        "Chief": training,
        "PS": {"cpu": "3", "memory": "4Gi"},
        "Worker": training,
        "Evaluator": {"cpu": "6", "memory": "16Gi"},
    }


def test_without_gpus_nothing_asks_for_any(roles):
    assert "gpu" not in json.dumps(roles(gpus_per_worker=0))


def test_data_are_read_only_and_the_training_folder_is_not(pods):
    for pod in pods().values():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "datasets", "readOnly": True}
        assert volumes["models"]["persistentVolumeClaim"] == {"claimName": "runs"}
        mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts["data"] == {"name": "data", "mountPath": "/data", "readOnly": True}
        assert mounts["models"] == {"name": "models", "mountPath": "/models"}


def test_pods_run_without_privileges(pods):
    for pod in pods().values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 1000
        assert pod["automountServiceAccountToken"] is False
        assert pod["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
        }  # fmt: skip


def test_only_the_pods_of_the_job_reach_its_ports(manifests):
    policy, job = manifests()
    own = {"app.kubernetes.io/name": "slim-train", "app.kubernetes.io/instance": "fer"}
    assert policy["spec"] == {
        "podSelector": {"matchLabels": own},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [{"podSelector": {"matchLabels": own}}], "ports": [{"protocol": "TCP", "port": 2222}]},
        ],
    }
    for role in job["spec"]["tfReplicaSpecs"].values():
        assert role["template"]["metadata"]["labels"] == own


def test_the_namespace_is_left_to_who_submits_unless_given(manifests):
    assert [manifest["metadata"]["namespace"] for manifest in manifests()] == ["vision", "vision"]
    assert [manifest["metadata"].get("namespace") for manifest in manifests(namespace=None)] == [None, None]


def test_kubernetes_expands_no_variable_in_a_flag(containers):
    assert containers(flags=("--x=$(HOME)",))["Worker"]["args"] == ["--x=$$(HOME)"]


@pytest.mark.parametrize("shape", [{}, {"num_ps": 0, "num_evaluators": 0, "gpus_per_worker": 0, "namespace": None}])
def test_the_schemas_of_kubeflow_and_kubernetes_know_every_field(manifests, read_as, shape):
    training = pytest.importorskip("kubeflow.training")
    policy, job = manifests(**shape)
    for manifest, model in ((policy, "V1NetworkPolicy"), (job, "KubeflowOrgV1TFJob")):
        assert read_as(training.ApiClient(), model, manifest) == manifest
