"""A training job for Kubernetes: what it is made of, and its manifests from training.yaml. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deployment.kubernetes.template import fill

DATA_MOUNT, MODELS_MOUNT = "/data", "/models"
PORT = 2222

_TEMPLATE = Path(__file__).with_name("training.yaml")


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """What a job is made of.

    Attributes:
      name: of the job; a DNS label, and so are the names of its tasks, ``<name>-worker-0``.
      namespace: None means that of the submitter.
      image: container image in which ``train_image_classifier`` is on the path.
      flags: of ``train_image_classifier``.
      data_claim: persistent volume claim that is mounted, read-only, at ``DATA_MOUNT``; None: no such volume.
      train_claim: persistent volume claim that is mounted at ``MODELS_MOUNT``; None: no such volume.
      num_chiefs: 1, or 0: worker 0 leads.
      num_ps: parameter servers; 0 for all-reduce.
      num_workers: workers, beside the chief.
      num_evaluators: 1 or 0.
      gpus_per_worker: NVIDIA GPUs of each task that trains.
      cpus_per_worker: of each task that trains and of the evaluator.
      memory_per_worker: Kubernetes quantity, such as ``8Gi``; of the same.
      cpus_per_ps: of each parameter server.
      memory_per_ps: Kubernetes quantity.
      max_restarts: failures after which the job has failed: of all tasks together in a TFJob, of one role in a Job.
      service_account: of the pods; None means that of the namespace.
      credentials_secret: secret whose key.json is the file of ``GOOGLE_APPLICATION_CREDENTIALS``; None: no such file.
    """

    name: str
    namespace: str | None
    image: str
    flags: Sequence[str]
    data_claim: str | None
    train_claim: str | None
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
    service_account: str | None = None
    credentials_secret: str | None = None


def manifests(job: TrainingJob, kind: str, more: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the template's list ``kind``, filled with the fields of ``job`` and the values in ``more``."""
    values = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    # Kubernetes would put the value of an environment variable for $(NAME).
    values["flags"] = [flag.replace("$(", "$$(") for flag in job.flags]
    for quantity in ("gpus_per_worker", "cpus_per_worker", "cpus_per_ps"):
        values[quantity] = str(values[quantity]) if values[quantity] else None
    template = yaml.safe_load(_TEMPLATE.read_text(encoding="utf-8"))
    unused = [name for name, value in _used_with(job).items() if not value]
    return fill(_without(template[kind], unused), {**values, **(more or {})})


def _used_with(job: TrainingJob) -> dict[str, str | None]:
    """Return what each named entry of the template that a job may do without is for."""
    return {
        "data": job.data_claim,
        "models": job.train_claim,
        "credentials": job.credentials_secret,
        "GOOGLE_APPLICATION_CREDENTIALS": job.credentials_secret,
    }


def _without(part: Any, names: Sequence[str]) -> Any:
    """Return a part of a template without the volumes, mounts and variables of these names."""
    if isinstance(part, list):
        return [_without(item, names) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: [entry for entry in value if entry["name"] not in names]
        if key in ("volumes", "volumeMounts", "env")
        else _without(value, names)
        for key, value in part.items()
    }
