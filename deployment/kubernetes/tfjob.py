"""The manifests of a training job for Kubeflow's training operator, which starts its tasks. No TensorFlow."""

from __future__ import annotations

from deployment.kubernetes.template import to_yaml
from deployment.kubernetes.training_job import TrainingJob, manifests


def render(job: TrainingJob) -> str:
    """Return the job as YAML, ready for ``kubectl apply``: a NetworkPolicy and a TFJob."""
    policy, tfjob = manifests(job, "tfjob")
    roles = tfjob["spec"]["tfReplicaSpecs"]
    tfjob["spec"]["tfReplicaSpecs"] = {role: spec for role, spec in roles.items() if spec["replicas"]}
    return to_yaml([policy, tfjob])
