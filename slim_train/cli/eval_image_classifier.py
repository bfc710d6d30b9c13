"""Evaluate a checkpoint over a split: the command."""

from __future__ import annotations

import sys

from slim_train.cli.command import Command
from slim_train.evaluation.options import EvalOptions


def _run(options: EvalOptions) -> None:
    from slim_train.evaluation import evaluate

    evaluate.run(options)


COMMAND = Command(
    name="eval_image_classifier",
    summary="Evaluate a checkpoint over a split of a data set, once or following a running training. A training folder "
    "knows its net, its data and its image size; flags override them.",
    defaults=EvalOptions(),
    run=_run,
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
