"""Train or fine-tune an image classifier: the command."""

from __future__ import annotations

import sys

from slim_train.cli.command import Command
from slim_train.extensions import check_names
from slim_train.training_options import TrainOptions


def _run(options: TrainOptions) -> None:
    from slim_train.training import train

    train.run(options)


COMMAND = Command(
    name="train_image_classifier",
    summary="Train or fine-tune a TF-Slim image classifier on TFRecords: one process, several GPUs, or one role of a "
    "cluster when TF_CONFIG is set. A training folder that holds a checkpoint is resumed.",
    defaults=TrainOptions(),
    run=_run,
    check=check_names,
    required=("dataset_dir",),
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
