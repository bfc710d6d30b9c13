"""Show what a net sees in training: the command."""

from __future__ import annotations

import sys

from slim_train.cli.command import Command
from slim_train.training.augmentation_sheet import ShowOptions, run

COMMAND = Command(
    name="show_augmentations",
    summary="Draw a sheet of what a net sees in training, from the real input pipeline. It takes the flags and the "
    "--config files of train_image_classifier.",
    defaults=ShowOptions(),
    run=run,
    required=("dataset_dir",),
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
