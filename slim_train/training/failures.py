"""TensorFlow's errors that a user can do something about, in one line."""

from __future__ import annotations

from typing import Any

from slim_train.errors import RunError
from slim_train.inputs import pipeline
from slim_train.tf_compat import tf
from slim_train.training.job import Job
from slim_train.training.sessions import CONNECTION_ERRORS

_SAVING = ("SaveV2", "MergeV2Checkpoints")


def explain(error: Any, job: Job) -> Exception | None:
    """Return what to raise in place of ``error``; None if it says nothing that we know."""
    explained = pipeline.explain_input_error(error, job.dataset)
    if explained:
        return explained
    op = getattr(error, "op", None)
    if op is not None and op.type in _SAVING:
        return RunError(
            f"Cannot save a checkpoint in {job.train_dir}: {reason(error)}. Start again when the folder can be "
            "written; training resumes from the last checkpoint."
        )
    if job.cluster.num_ps_tasks and isinstance(error, CONNECTION_ERRORS):
        return RunError(
            f"{job.cluster.own.name}: lost the connection to the parameter servers ({reason(error)}). Start it again "
            "and it joins the job."
        )
    return None


def reason(error: tf.errors.OpError) -> str:
    """Return the one line of TensorFlow's message that is for people."""
    lines = [line.strip() for line in error.message.splitlines()]
    if any(line.startswith("Node: ") for line in lines):  # After it: why. Before it: where the node was made.
        lines = lines[max(i for i, line in enumerate(lines) if line.startswith("Node: ")) + 1 :]
    said = [line for line in lines if line and not line.startswith(("From /job:", "[[", "Graph execution error"))]
    return said[0].rstrip(".") if said else type(error).__name__
