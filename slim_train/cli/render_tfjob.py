"""Write the Kubernetes manifests of a training job for Kubeflow's training operator: the command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from slim_train.cli.kubernetes_job import command

if TYPE_CHECKING:
    from deployment.kubernetes.training_job import TrainingJob


def _render(job: TrainingJob) -> str:
    from deployment.kubernetes.tfjob import render

    return render(job)


COMMAND = command(
    "render_tfjob",
    "Write the Kubernetes manifests of a training job for Kubeflow's training operator.",
    _render,
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
