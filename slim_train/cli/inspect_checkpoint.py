"""Inspect a checkpoint: the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from slim_train.cli.command import Command
from slim_train.config import Options, option
from slim_train.errors import UsageError
from slim_train.training_options import NetCodeOptions


@dataclass(frozen=True)
class ReportOptions(Options):
    """Output."""

    variables: bool = option(False, "Also list the variables with their types and shapes.")
    json: bool = option(False, "Print JSON.")


@dataclass(frozen=True)
class InspectCheckpointOptions(Options):
    """The options of inspect_checkpoint."""

    report: ReportOptions = field(default_factory=ReportOptions)
    code: NetCodeOptions = field(default_factory=NetCodeOptions)


def _run(options: InspectCheckpointOptions, words: Sequence[str]) -> int:
    if len(words) != 1:
        got = f", got {' and '.join(words)}" if words else ""
        raise UsageError(f"inspect_checkpoint takes one checkpoint{got}: inspect_checkpoint PATH.")
    from slim_train.user_code.load import load_nets
    from slim_train.zoo.checkpoint_report import inspect

    report = inspect(words[0], load_nets(options.code, ()))
    print(json.dumps(report.to_dict(), indent=2) if options.report.json else report.text(options.report.variables))
    return 1 if report.not_finite else 0


COMMAND = Command(
    name="inspect_checkpoint",
    summary="Show what a TensorFlow checkpoint is: which net, how many classes, the image size and preprocessing that "
    "go with it, the global step, optimizer slots and moving averages, and values that are not finite. It takes a "
    "checkpoint, a folder with one, or an archive of released weights. Exit code 1: some values are NaN or infinite.",
    defaults=InspectCheckpointOptions(),
    run=_run,
    needs_keras=False,
    words="PATH",
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
