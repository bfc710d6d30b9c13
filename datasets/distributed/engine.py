"""The engine of a distributed conversion, such as Spark: it calls functions by number, and sorts. No TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from datasets.distributed.job import stop
from datasets.errors import DataError

# A task: called in any process, any number of times, with the folder of the job and a number; returns JSON.
Task = Callable[[Path, int], str]


class BucketCount(NamedTuple):
    """The number of images of a split in a bucket of the order."""

    bucket: int
    split: int
    images: int


class Engine(Protocol):
    """Runs tasks."""

    def run(self, task: Task, job: Path, count: int, watch: Callable[[], None] | None = None) -> list[str]:
        """Call a function of a module with the numbers 0 to ``count - 1``, and return its answers in this order.

        Args:
          task: the function.
          job: folder of the job.
          count: number of calls.
          watch: called now and then while the tasks run.

        Raises:
          DataError: a task raised one.
        """

    def order(self, job: Path, listings: int, buckets: int, is_ranked: bool) -> list[BucketCount]:
        """Sort the rows of :func:`datasets.distributed.ordering.read_rows` and give them to ``write_buckets``.

        Rows of a bucket go to one call of ``write_buckets``, bucket by bucket, sorted by ``order_key``, ``label``,
        ``rank``, ``nfc`` (``name`` if null), ``name``.

        Args:
          job: folder of the job.
          listings: number of calls of ``read_rows``.
          buckets: number of different values of ``bucket``.
          is_ranked: ``rank`` is the place of a row among those of its label, from 1, sorted by ``split_key``, ``nfc``
            (``name`` if null), ``name``; otherwise it is 0.

        Raises:
          DataError: a task raised one.
        """


def attempt(task: Task, job: Path, number: int) -> str:
    """Call a task in the process that runs it; return its answer, or its DataError, which no other try can avoid."""
    try:
        return json.dumps({"answer": task(job, number)})
    except DataError as error:
        if job.is_dir():
            stop(job)
        return json.dumps({"error": str(error)})


def answers(attempts: Sequence[str]) -> list[str]:
    """Return the answers of attempts.

    Raises:
      DataError: one of them failed.
    """
    results = [json.loads(attempt) for attempt in attempts]
    for result in results:
        if "error" in result:
            raise DataError(result["error"])
    return [result["answer"] for result in results]
