"""TensorFlow's errors that a user can do something about, in one line."""

from __future__ import annotations

from typing import Any

from deployment import servers
from slim_train.errors import RunError
from slim_train.inputs import pipeline
from slim_train.training.job import Job
from slim_train.training.sessions import CONNECTION_ERRORS


def explain(error: Any, job: Job) -> Exception | None:
    """Return what to raise in place of ``error``; None if it says nothing that we know."""
    explained = pipeline.explain_input_error(error, job.dataset)
    if explained:
        return explained
    if job.cluster.num_ps_tasks and isinstance(error, CONNECTION_ERRORS):
        return RunError(
            f"{job.cluster.own.name}: lost the connection to the parameter servers ({servers.reason(error)}). "
            "Start it again and it joins the job."
        )
    return None
