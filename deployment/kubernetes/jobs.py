"""The manifests of a training job for any Kubernetes cluster: an indexed Job for each role. No TensorFlow.

A pod of an indexed Job has a host name that outlives it, ``<job>-<index>``, which a headless Service puts into DNS.
Kubernetes makes TF_CONFIG from the manifest, the role in the pod's labels and the index in its annotations.
"""

from __future__ import annotations

import json

from deployment.kubernetes.template import to_yaml
from deployment.kubernetes.training_job import PORT, TrainingJob, manifests


def render(job: TrainingJob) -> str:
    """Return the job as YAML, ready for ``kubectl apply``: a NetworkPolicy, a Service and a Job for each role."""
    made = manifests(job, "jobs", {"cluster": json.dumps(_addresses(job))})
    return to_yaml(manifest for manifest in made if manifest["spec"].get("completions") != 0)


def _addresses(job: TrainingJob) -> dict[str, list[str]]:
    """Return the addresses of each role's tasks, by its name in TF_CONFIG."""
    counts = {"chief": job.num_chiefs, "ps": job.num_ps, "worker": job.num_workers, "evaluator": job.num_evaluators}
    return {
        role: [f"{job.name}-{role}-{index}.{job.name}:{PORT}" for index in range(count)]
        for role, count in counts.items()
        if count
    }
