"""Inspect a data set: the command."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence

from slim_train.api.inspect_dataset import InspectOptions, run
from slim_train.cli.command import Command
from slim_train.errors import UsageError


def _run(options: InspectOptions, words: Sequence[str]) -> int:
    folders = [*words, *([options.data.dataset_dir] if options.data.dataset_dir else [])]
    if len(folders) != 1:
        got = f", got {' and '.join(folders)}" if folders else ""
        raise UsageError(f"inspect_dataset takes one folder{got}: inspect_dataset DIR.")
    report = run(dataclasses.replace(options, data=dataclasses.replace(options.data, dataset_dir=folders[0])))
    if options.report.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        from slim_train.reports.inspection_text import print_inspection

        print_inspection(report)
    return 1 if report.faults else 0


COMMAND = Command(
    name="inspect_dataset",
    summary="Show what a data set is: splits, images per class, image sizes and formats, keys of the records; and what "
    "is wrong with it. It takes folders of download_and_convert_data, records of other tools, and class folders before "
    "they are converted. Exit code 1: it has faults.",
    defaults=InspectOptions(),
    run=_run,
    uses_tensorflow=False,
    words="DIR",
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
