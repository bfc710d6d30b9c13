"""An engine in this process: it runs what a cluster runs, and sorts as a cluster sorts."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datasets.distributed import ordering
from datasets.distributed.engine import BucketCount, Task, answers, attempt

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra [spark])")


class EngineHere:
    """Runs each task ``tries`` times, as clusters may.

    Attributes:
      before: called with the name of a task and its number before each call.
    """

    def __init__(self, tries: int = 1) -> None:
        self._tries = tries
        self.before: Callable[[str, int], None] = lambda task, number: None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[EngineHere]:
        yield self

    def run(self, task: Task, job: Path, count: int, watch: Callable[[], None] | None = None) -> list[str]:
        attempts = []
        for number in range(count):
            self.before(task.__name__, number)
            attempts.append([attempt(task, job, number) for _ in range(self._tries)].pop())
            if watch:
                watch()
        return answers(attempts)

    def order(self, job: Path, listings: int, buckets: int, is_ranked: bool) -> list[BucketCount]:
        rows = [
            row for number in range(listings) for batch in ordering.read_rows(job, number) for row in batch.to_pylist()
        ]
        rows.sort(key=lambda row: (row["label"], row["split_key"] or b"", *self._name(row)))
        for _, of_label in itertools.groupby(rows, key=lambda row: row["label"]):
            for rank, row in enumerate(of_label, start=1):
                row["rank"] = rank if is_ranked else 0
        rows.sort(key=lambda row: (row["bucket"], row["order_key"], row["label"], row["rank"], *self._name(row)))
        schema = ordering.row_schema().append(pyarrow.field("rank", pyarrow.int32()))
        table = pyarrow.Table.from_pylist(rows, schema).select(["bucket", "split", "label", "rank", "name"])
        batches = table.to_batches(max_chunksize=7)
        return [count for _ in range(self._tries) for count in ordering.write_buckets(job, batches)]

    def _name(self, row: dict[str, Any]) -> tuple[bytes, bytes]:
        return row["name"] if row["nfc"] is None else row["nfc"], row["name"]


@pytest.fixture
def engine() -> EngineHere:
    """An engine in this process."""
    return EngineHere()


@pytest.fixture
def engine_of() -> Callable[[int], EngineHere]:
    """``engine_of(tries)``: an engine that runs each task so many times."""
    return EngineHere
