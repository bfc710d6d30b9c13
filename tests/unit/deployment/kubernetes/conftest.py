"""A job, and the schemas that its manifests must fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from deployment.kubernetes.training_job import TrainingJob


@pytest.fixture
def training_job() -> TrainingJob:
    """A job with every role, whose numbers all differ."""
    return TrainingJob(
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


@pytest.fixture
def read_as() -> Callable[..., Any]:
    """``read_as(client, model, manifest)``: the manifest as the typed model of a client library knows it.

    Reading drops unknown fields and converts wrong types; a required field that is missing is an error.
    """

    def read(client: Any, model: str, manifest: dict[str, Any]) -> Any:
        typed = client.deserialize(SimpleNamespace(data=json.dumps(manifest)), model)
        return client.sanitize_for_serialization(typed)

    return read
