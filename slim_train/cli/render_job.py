"""Write the Kubernetes manifests of a training job for clusters without Kubeflow: the command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from slim_train.cli.kubernetes_job import command

if TYPE_CHECKING:
    from deployment.kubernetes.training_job import TrainingJob


def _render(job: TrainingJob) -> str:
    from deployment.kubernetes.jobs import render

    return render(job)


COMMAND = command(
    "render_job",
    "Write the manifests of a training job for any Kubernetes cluster, without Kubeflow: an indexed Job for each role "
    "and a headless Service.",
    _render,
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
