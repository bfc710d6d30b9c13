"""The training loop: steps of the head, evaluations, summaries for TensorBoard."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slim_train.checkpoints import event_uploads
from slim_train.errors import UsageError
from slim_train.progress import ProgressBar
from slim_train.retraining.head import Head, Score
from slim_train.retraining.options import HeadOptions
from slim_train.retraining.samples import Samples
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

_LOG_LINES = 10


class Batch(NamedTuple):
    """Training images by their numbers [B]; their features [B, D] where they were distorted."""

    numbers: NDArray[np.int64]
    features: NDArray[np.float32] | None = None


class Evaluation(NamedTuple):
    """How well the last batch and the validation images are classified; no ``validation`` if there are none."""

    training: Score
    validation: Score | None

    def __str__(self) -> str:
        parts = [f"training accuracy {self.training.accuracy:.1%}, cross entropy {self.training.cross_entropy:.4f}"]
        if self.validation:
            parts.append(f"validation {self.validation.accuracy:.1%}, {self.validation.cross_entropy:.4f}")
        return "; ".join(parts)


def train(
    head: Head,
    batches: Iterator[Batch],
    validation: Samples,
    options: HeadOptions,
    random: np.random.Generator,
    summaries: Summaries,
    snapshot_every: int,
    write_snapshot: Callable[[int], None],
) -> Evaluation:
    """Train ``head`` for as many steps as ``options`` say; gives the last evaluation.

    Args:
      batches: one for each step.
      validation: what is evaluated every ``eval_step_interval`` steps and after the last; may be empty.
      random: draws the validation images.
      summaries: where each evaluation is written.
      snapshot_every: steps between calls of ``write_snapshot``; 0 never calls it.
      write_snapshot: called with the number of the step, counted from 0.

    Raises:
      RunError: training diverges.
    """
    total = options.how_many_training_steps
    next_line = 0
    with ProgressBar("training", total, "steps") as bar:
        for step, batch in enumerate(itertools.islice(batches, total)):
            head.step(*batch)
            bar.update(step + 1)
            is_last = step == total - 1
            if step % options.eval_step_interval == 0 or is_last:
                evaluation = _evaluate(head, batch, validation, options, random)
                summaries.add(step, evaluation)
                if step >= next_line or is_last:
                    log.info("Step %d: %s.", step, evaluation)
                    next_line += max(1, total // _LOG_LINES)
            if snapshot_every and step and step % snapshot_every == 0:
                write_snapshot(step)
    return evaluation


def _evaluate(
    head: Head, batch: Batch, validation: Samples, options: HeadOptions, random: np.random.Generator
) -> Evaluation:
    training = head.score(*batch)
    if not len(validation):
        return Evaluation(training, None)
    drawn = options.validation_batch_size > 0
    numbers = validation.draw(options.validation_batch_size, random) if drawn else validation.numbers
    return Evaluation(training, head.score(numbers))


class Summaries:
    """Event files of evaluations in ``train`` and ``validation`` below a folder; those of an earlier run go.

    Use it as a context manager.

    Raises:
      UsageError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folders = [folder / "train", folder / "validation"]
        self._uploads = contextlib.ExitStack()
        try:
            for old in (file for part in folders for file in part.glob("events.out.tfevents.*")):
                old.unlink()
            # Outside of a graph TensorFlow takes its old writers to be a mistake.
            here = self._uploads.enter_context(event_uploads.writable([str(part) for part in folders], 0))
            with tf.Graph().as_default():
                self._training, self._validation = (tf.summary.FileWriter(here[str(part)]) for part in folders)
        except (OSError, tf.errors.OpError) as error:
            raise UsageError(f"--summaries_dir: cannot write to {folder}: {error}.") from error

    def __enter__(self) -> Summaries:
        return self

    def add(self, step: int, evaluation: Evaluation) -> None:
        """Write both scores of ``evaluation``."""
        self._training.add_summary(_summary(evaluation.training), step)
        if evaluation.validation:
            self._validation.add_summary(_summary(evaluation.validation), step)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._training.close()
        self._validation.close()
        self._uploads.close()


def _summary(score: Score) -> Any:
    return tf.Summary(value=[tf.Summary.Value(tag=name, simple_value=value) for name, value in score._asdict().items()])
