"""Train a new last layer on a module or a trained net: the command."""

from __future__ import annotations

import logging
import sys

from slim_train.cli.command import Command
from slim_train.errors import UsageError
from slim_train.retraining.options import RetrainOptions


def _run(options: RetrainOptions) -> None:
    if not (options.images.image_dir or options.features.features):
        raise UsageError("--image_dir is required (--help lists the flags).")
    if options.output.logging_verbosity != "INFO":
        logging.getLogger().setLevel(options.output.logging_verbosity)
    if options.features.features or options.spark.runs_on_spark:
        from slim_train.bulk import retrain

        retrain.run(options)
        return
    from slim_train.retraining import run

    run.run(options)


COMMAND = Command(
    name="retrain",
    summary="Train a new last layer on a TF-Hub module, a SavedModel or a TF-Slim net, for the classes of an image "
    "folder: TF-Hub's retrain script. Features are computed once and kept.",
    defaults=RetrainOptions(),
    run=_run,
    needs_keras=False,
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
