"""serving.yaml: what it names is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from slim_train.config import flag_specs
from slim_train.serving.options import ServeOptions

ROOT = Path(__file__).resolve().parents[4]
MANIFESTS = list(yaml.safe_load_all((ROOT / "deployment/kubernetes/serving.yaml").read_text(encoding="utf-8")))
NAMES = ("classifier", "tf-serving")


def manifest(kind: str, name: str) -> dict[str, Any]:
    (found,) = [entry for entry in MANIFESTS if (entry["kind"], entry["metadata"]["name"]) == (kind, name)]
    return found


def container(name: str) -> dict[str, Any]:
    return manifest("Deployment", name)["spec"]["template"]["spec"]["containers"][0]


def test_every_object_can_be_taken_by_its_label() -> None:
    assert {entry["metadata"]["labels"]["app.kubernetes.io/name"] for entry in MANIFESTS} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_services_find_their_pods(name: str) -> None:
    deployment = manifest("Deployment", name)["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert manifest("Service", name)["spec"]["selector"] == labels
    ports = {port["name"] for port in container(name)["ports"]}
    assert {port["targetPort"] for port in manifest("Service", name)["spec"]["ports"]} <= ports


@pytest.mark.parametrize("name", NAMES)
def test_mounts_have_volumes(name: str) -> None:
    pod = manifest("Deployment", name)["spec"]["template"]["spec"]
    assert {mount["name"] for mount in container(name)["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_flags_are_those_of_the_command() -> None:
    flags = {argument.removeprefix("--").partition("=")[0] for argument in container("classifier")["args"]}
    assert flags <= {spec.name for spec in flag_specs(ServeOptions())}


def test_pods_have_time_to_finish_requests() -> None:
    (stop_secs,) = re.findall(r"--stop_secs=(\d+)", " ".join(container("classifier")["args"]))
    grace = manifest("Deployment", "classifier")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > int(stop_secs) + 5


def test_probes_ask_what_the_server_answers_without_a_key() -> None:
    app = pytest.importorskip("slim_train.serving.app", reason="serving is not installed: pip install .[serve]")
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    assert {container("classifier")[probe]["httpGet"]["path"] for probe in probes} <= set(app._OPEN_PATHS)
