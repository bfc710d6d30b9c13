"""Classify any number of images: the command."""

from __future__ import annotations

import sys

from slim_train.bulk.classify_options import ClassifyOptions
from slim_train.cli.command import Command


def _run(options: ClassifyOptions) -> None:
    options.check()
    from slim_train.bulk import classify

    classify.classify(options)


COMMAND = Command(
    name="classify_images",
    summary="Write the likeliest classes of any number of images to Parquet, by a training folder, an export or what "
    "retrain wrote; in this process or on a Spark cluster. With labels known, also the metrics.",
    defaults=ClassifyOptions(),
    run=_run,
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
