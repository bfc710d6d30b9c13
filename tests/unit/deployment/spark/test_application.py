"""application.yaml: fields and types are those of the operator's v1beta2, and its flags are ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from slim_train.bulk.options import ExtractOptions
from slim_train.config import flag_specs

ROOT = Path(__file__).resolve().parents[4]
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "deployment/spark/application.yaml").read_text(encoding="utf-8"))

# From https://github.com/kubeflow/spark-operator, api/v1beta2: unknown fields are dropped without a word.
MOUNT = {"name": str, "mountPath": str, "readOnly": bool}
POD = {"cores": int, "memory": str, "memoryOverhead": str, "serviceAccount": str, "volumeMounts": [MOUNT]}
SPEC: dict[str, Any] = {
    "type": {"Java", "Python", "Scala", "R"},
    "pythonVersion": {"2", "3"},
    "mode": {"cluster", "client"},
    "image": str,
    "sparkVersion": str,
    "mainApplicationFile": str,
    "arguments": [str],
    "restartPolicy": {
        "type": {"Never", "Always", "OnFailure"},
        "onFailureRetries": int,
        "onFailureRetryInterval": int,
        "onSubmissionFailureRetries": int,
        "onSubmissionFailureRetryInterval": int,
    },
    "timeToLiveSeconds": int,
    "sparkConf": {"*": str},
    "driver": POD,
    "executor": {**POD, "instances": int, "gpu": {"name": str, "quantity": int}},
    "volumes": [{"name": str, "persistentVolumeClaim": {"claimName": str, "readOnly": bool}}],
}


def faults(value: Any, schema: Any, path: str) -> list[str]:
    """Return where a value departs from a schema: a type, a set of choices, [items] or {field: schema}."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{path} is no mapping"]
        known = {key: schema.get(key, schema.get("*")) for key in value}
        unknown = [f"{path}.{key} is unknown" for key in value if known[key] is None]
        return unknown + [f for key in value if known[key] for f in faults(value[key], known[key], f"{path}.{key}")]
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{path} is no list"]
        return [fault for number, item in enumerate(value) for fault in faults(item, schema[0], f"{path}[{number}]")]
    is_right = value in schema if isinstance(schema, set) else type(value) is schema
    return [] if is_right else [f"{path} is {value!r}"]


def test_fields_and_types_are_those_of_the_operator() -> None:
    assert (MANIFEST["apiVersion"], MANIFEST["kind"]) == ("sparkoperator.k8s.io/v1beta2", "SparkApplication")
    assert faults(MANIFEST["spec"], SPEC, "spec") == []


@pytest.mark.parametrize("field", ["type", "sparkVersion", "mainApplicationFile", "driver", "executor"])
def test_what_the_operator_requires_is_there(field: str) -> None:
    assert MANIFEST["spec"][field]


def test_the_command_and_its_flags_are_ours() -> None:
    name = MANIFEST["spec"]["mainApplicationFile"].rpartition("/")[2]
    assert (ROOT / "scripts" / name).is_file()
    flags = {argument.partition("=")[0].removeprefix("--") for argument in MANIFEST["spec"]["arguments"]}
    assert flags <= {spec.name for spec in flag_specs(ExtractOptions())}


def test_one_task_has_all_cores_of_an_executor_and_volumes_are_mounted() -> None:
    spec = MANIFEST["spec"]
    assert spec["sparkConf"]["spark.task.cpus"] == str(spec["executor"]["cores"])
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {mount["name"] for mount in spec["executor"]["volumeMounts"]} == volumes
