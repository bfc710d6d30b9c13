"""Compare runs: the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from slim_train.api.compare_runs import CompareOptions, run
from slim_train.cli.command import Command


def _run(options: CompareOptions, words: Sequence[str]) -> None:
    comparison = run(options, words)
    if options.json:
        print(json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False))
    else:
        from slim_train.evaluation.comparison_text import print_comparison

        print_comparison(comparison)


COMMAND = Command(
    name="compare_runs",
    summary="Compare evaluated runs on the same images: accuracy with its 95% interval, McNemar's exact test of each "
    "run against the first, and the images that only one of them got right. RUN is a training folder, the folder of an "
    "evaluation, or its predictions_<split>.csv.",
    defaults=CompareOptions(),
    run=_run,
    uses_tensorflow=False,
    words="RUN RUN [RUN ...]",
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
