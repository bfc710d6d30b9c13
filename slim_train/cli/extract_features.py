"""Compute features of images with a trained net: the command."""

from __future__ import annotations

import sys

from slim_train.bulk.options import ExtractOptions
from slim_train.cli.command import Command


def _run(options: ExtractOptions) -> None:
    options.check()
    from slim_train.bulk import extract

    if options.net.lists_end_points:
        print(extract.end_points_text(options))
        return
    extract.extract(options)


def _uses_tensorflow(options: ExtractOptions) -> bool:
    """Return whether this process computes, or loads the net for a cluster; with a local Spark another one does."""
    from slim_train.bulk.local_spark import forks_workers

    return options.net.lists_end_points or not forks_workers(options.spark)


COMMAND = Command(
    name="extract_features",
    summary="Write the features of images to Parquet: any end point of a net, a training folder, a TF-Hub module or a "
    "SavedModel; in this process or on a Spark cluster. A second run computes what is missing.",
    defaults=ExtractOptions(),
    run=_run,
    uses_tensorflow=_uses_tensorflow,
    needs_keras=False,
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
