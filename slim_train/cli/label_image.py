"""Label images: the command."""

from __future__ import annotations

import sys

from slim_train.cli.command import Command
from slim_train.inference.options import LabelImageOptions


def _run(options: LabelImageOptions) -> None:
    from slim_train.inference import label_image

    print(label_image.run(options))


COMMAND = Command(
    name="label_image",
    summary="Say what images show: the likeliest classes of each, by a training folder, an export or what "
    "retrain wrote.",
    defaults=LabelImageOptions(),
    run=_run,
    required=("image",),
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
