import dataclasses
import json
from types import SimpleNamespace

import pytest
import yaml

from deployment.kubernetes.tfjob import TrainingJob, render

JOB = TrainingJob(
    name="fer",
    namespace="vision",
    image="registry.example/slim-train:1",
    flags=("--dataset_dir=/data/fer", "--train_dir=/models/fer"),
    data_claim="datasets",
    train_claim="runs",
    num_chiefs=1,
    num_ps=2,
    num_workers=3,
    num_evaluators=1,
    gpus_per_worker=2,
    cpus_per_worker=6,
    memory_per_worker="16Gi",
    cpus_per_ps=3,
    memory_per_ps="4Gi",
    max_restarts=7,
)


def _manifests(**changes):
    """The NetworkPolicy and the TFJob."""
    return list(yaml.safe_load_all(render(dataclasses.replace(JOB, **changes))))


def _roles(**changes):
    return _manifests(**changes)[1]["spec"]["tfReplicaSpecs"]


def _pods(**changes):
    return {role: spec["template"]["spec"] for role, spec in _roles(**changes).items()}


def _containers(**changes):
    return {role: pod["containers"][0] for role, pod in _pods(**changes).items()}


def test_every_role_has_its_replicas_and_is_restarted_when_it_fails():
    roles = _roles()
    assert {role: spec["replicas"] for role, spec in roles.items()} == {
        "Chief": 1, "PS": 2, "Worker": 3, "Evaluator": 1
    }  # fmt: skip
    assert {spec["restartPolicy"] for spec in roles.values()} == {"OnFailure"}


def test_roles_without_replicas_are_left_out():
    assert set(_roles(num_ps=0, num_evaluators=0, num_chiefs=0)) == {"Worker"}


def test_the_end_of_the_chief_kills_nobody():
    assert _manifests()[1]["spec"]["runPolicy"] == {"cleanPodPolicy": "None", "backoffLimit": 7}


def test_every_role_runs_the_same_command():
    for container in _containers().values():
        assert container["name"] == "tensorflow"
        assert container["image"] == "registry.example/slim-train:1"
        assert container["command"] == ["train_image_classifier"]
        assert container["args"] == ["--dataset_dir=/data/fer", "--train_dir=/models/fer"]
        assert container["ports"] == [{"name": "tfjob-port", "containerPort": 2222}]


def test_gpus_go_to_the_tasks_that_train():
    limits = {role: container["resources"]["limits"] for role, container in _containers().items()}
    training = {"cpu": "6", "memory": "16Gi", "nvidia.com/gpu": "2"}
    assert limits == {
        "Chief": training,
        "PS": {"cpu": "3", "memory": "4Gi"},
        "Worker": training,
        "Evaluator": {"cpu": "6", "memory": "16Gi"},
    }


def test_without_gpus_nothing_asks_for_any():
    assert "gpu" not in json.dumps(_roles(gpus_per_worker=0))


def test_data_are_read_only_and_the_training_folder_is_not():
    for pod in _pods().values():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "datasets", "readOnly": True}
        assert volumes["models"]["persistentVolumeClaim"] == {"claimName": "runs"}
        mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts["data"] == {"name": "data", "mountPath": "/data", "readOnly": True}
        assert mounts["models"] == {"name": "models", "mountPath": "/models"}


def test_pods_run_without_privileges():
    for pod in _pods().values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 1000
        assert pod["automountServiceAccountToken"] is False
        assert pod["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
        }  # fmt: skip


def test_only_the_pods_of_the_job_reach_its_ports():
    policy, job = _manifests()
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


def test_the_namespace_is_left_to_who_submits_unless_given():
    assert [manifest["metadata"]["namespace"] for manifest in _manifests()] == ["vision", "vision"]
    assert [manifest["metadata"].get("namespace") for manifest in _manifests(namespace=None)] == [None, None]


@pytest.mark.parametrize(
    "text",
    [
        "a: b",
        "x\n- y",
        "'\"",
        "# no comment",
        "*alias",
        "{x: 1}",
        "y",
        "1e3",
        "0o17",
        "null",
        "${name}",
        "$$",
        "é\u2028",
    ],
)
def test_no_value_is_read_as_yaml_or_as_a_placeholder(text):
    rendered = render(dataclasses.replace(JOB, image=text, data_claim=text, flags=(text,)))
    [_, job] = yaml.safe_load_all(rendered)
    pod = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    assert pod["containers"][0]["image"] == text
    assert pod["containers"][0]["args"] == [text]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == text
    # For YAML parsers that take more plain words than PyYAML for numbers or truth.
    assert 'image: "' in rendered


def test_kubernetes_expands_no_variable_in_a_flag():
    assert _containers(flags=("--x=$(HOME)",))["Worker"]["args"] == ["--x=$$(HOME)"]


@pytest.mark.parametrize("shape", [{}, {"num_ps": 0, "num_evaluators": 0, "gpus_per_worker": 0, "namespace": None}])
def test_the_schemas_of_kubeflow_and_kubernetes_know_every_field(shape):
    """Reading a manifest into the typed model drops unknown fields, converts wrong types and misses none required."""
    training = pytest.importorskip("kubeflow.training")
    client = training.ApiClient()
    policy, job = _manifests(**shape)
    for manifest, model in ((policy, "V1NetworkPolicy"), (job, "KubeflowOrgV1TFJob")):
        typed = client.deserialize(SimpleNamespace(data=json.dumps(manifest)), model)
        assert client.sanitize_for_serialization(typed) == manifest
