"""Export a trained net for other programs: the command."""

from __future__ import annotations

import sys

from slim_train.cli.command import Command
from slim_train.exporting.options import ExportOptions


def _run(options: ExportOptions) -> None:
    from slim_train.exporting import run

    run.run(options)


COMMAND = Command(
    name="export_inference_graph",
    summary="Export a checkpoint as a SavedModel, a frozen graph and TFLite models. A training folder is all it needs; "
    "each file's answers are compared with the checkpoint's.",
    defaults=ExportOptions(),
    run=_run,
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
