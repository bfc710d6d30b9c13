"""The manifests of a training job for Kubeflow's training operator, from tfjob.yaml beside this file. No TensorFlow."""

from __future__ import annotations

import dataclasses
import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

DATA_MOUNT, MODELS_MOUNT = "/data", "/models"

_TEMPLATE = Path(__file__).with_name("tfjob.yaml")


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """What a job is made of.

    Attributes:
      name: of the job; a DNS label, and so are the names of its tasks, ``<name>-worker-0``.
      namespace: None means that of the submitter.
      image: container image in which ``train_image_classifier`` is on the path.
      flags: of ``train_image_classifier``.
      data_claim: persistent volume claim that is mounted, read-only, at ``DATA_MOUNT``.
      train_claim: persistent volume claim that is mounted at ``MODELS_MOUNT``.
      num_chiefs: 1, or 0: worker 0 leads.
      num_ps: parameter servers; 0 for all-reduce.
      num_workers: workers, beside the chief.
      num_evaluators: 1 or 0.
      gpus_per_worker: NVIDIA GPUs of each task that trains.
      cpus_per_worker: of each task that trains and of the evaluator.
      memory_per_worker: Kubernetes quantity, such as ``8Gi``; of the same.
      cpus_per_ps: of each parameter server.
      memory_per_ps: Kubernetes quantity.
      max_restarts: failures of all tasks together after which the job has failed.
    """

    name: str
    namespace: str | None
    image: str
    flags: Sequence[str]
    data_claim: str
    train_claim: str
    num_chiefs: int
    num_ps: int
    num_workers: int
    num_evaluators: int
    gpus_per_worker: int
    cpus_per_worker: int
    memory_per_worker: str
    cpus_per_ps: int
    memory_per_ps: str
    max_restarts: int


def render(job: TrainingJob) -> str:
    """Return the job as YAML, ready for ``kubectl apply``: a NetworkPolicy and a TFJob.

    Values take their places in the template after it has been parsed and are quoted when written: nothing in them is
    ever read as YAML.
    """
    values = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    # Kubernetes would put the value of an environment variable for $(NAME).
    values["flags"] = [flag.replace("$(", "$$(") for flag in job.flags]
    for quantity in ("gpus_per_worker", "cpus_per_worker", "cpus_per_ps"):
        values[quantity] = str(values[quantity]) if values[quantity] else None
    template = yaml.safe_load(_TEMPLATE.read_text(encoding="utf-8"))
    policy, tfjob = _filled(template["manifests"], values)
    roles = tfjob["spec"]["tfReplicaSpecs"]
    tfjob["spec"]["tfReplicaSpecs"] = {role: spec for role, spec in roles.items() if spec["replicas"]}
    return yaml.dump_all([policy, tfjob], Dumper=_Dumper, sort_keys=False, explicit_start=True, width=120)


class _Value(str):
    """Text that comes from the user."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


# Always in quotes: YAML 1.1 and 1.2, and their parsers, differ on which plain words are text (y, 1e3, 0o17).
_Dumper.add_representer(
    _Value, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')
)


def _filled(part: Any, values: Mapping[str, Any]) -> Any:
    """``part`` of the template with its ``${...}`` replaced; keys whose value is None are removed."""
    if isinstance(part, dict):
        filled = {key: _filled(value, values) for key, value in part.items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(part, list):
        return [_filled(value, values) for value in part]
    if not isinstance(part, str) or "$" not in part:
        return part
    whole = re.fullmatch(r"\$\{(\w+)\}", part)
    return _given(values[whole[1]] if whole else string.Template(part).substitute(values))


def _given(value: Any) -> Any:
    if isinstance(value, list):
        return [_Value(item) for item in value]
    return _Value(value) if isinstance(value, str) else value
