"""Spark as the engine of a distributed conversion: tasks by number, and the sort. No TensorFlow, in tasks neither."""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datasets.distributed.engine import BucketCount, Task, answers
from datasets.errors import DataError
from deployment.spark.executors import IdleWatch, is_idle
from deployment.spark.session import first_line, spark_session
from slim_train.bulk.on_spark import polled, ship_packages, with_our_packages
from slim_train.errors import RunError
from slim_train.spark_options import SparkOptions

log = logging.getLogger(__name__)

_ANSWERS = "number long, answer string"
_ROWS = "bucket int, split int, label int, name binary, nfc binary, split_key binary, order_key binary"
_COUNTS = "bucket int, split int, images long"


@contextlib.contextmanager
def spark_engine(options: SparkOptions) -> Iterator[SparkEngine]:
    """Yield Spark as an engine.

    Args:
      options: names the cluster.

    Raises:
      ClusterError: pyspark or Java is missing, or the cluster cannot be reached.
    """
    with (
        spark_session(options.spark_master, options.spark_remote, options.settings(), "slim-train") as session,
        tempfile.TemporaryDirectory(prefix="slim-train-") as folder,
    ):
        source = ship_packages(session, Path(folder))
        yield SparkEngine(session, source, IdleWatch(lambda: is_idle(session), options.where))


class SparkEngine:
    """An :class:`datasets.distributed.engine.Engine`.

    Attributes:
      session: the session of Spark.
      source: of our packages in the workers.
      idle: warns if no executor runs the tasks.
    """

    def __init__(self, session: Any, source: str, idle: IdleWatch) -> None:
        self.session, self._source, self._idle = session, source, idle

    def run(self, task: Task, job: Path, count: int, watch: Callable[[], None] | None = None) -> list[str]:
        """Call a function with the numbers 0 to ``count - 1``; RunError if the cluster fails."""
        table = self.session.range(0, count, 1, count).mapInArrow(self._checked(_attempts(task, str(job))), _ANSWERS)
        with polled(self._idle.look, *([watch] if watch else [])):
            rows = _collect(table)
        if watch:
            watch()
        attempts = {row["number"]: row["answer"] for row in rows}
        return answers([attempts[number] for number in range(count)])

    def order(self, job: Path, listings: int, buckets: int, is_ranked: bool) -> list[BucketCount]:
        """Sort the listed images; RunError if the cluster fails."""
        from pyspark.sql import Window, functions

        name = [functions.coalesce("nfc", "name"), functions.col("name")]
        rows = self.session.range(0, listings, 1, listings).mapInArrow(self._checked(_read_rows(str(job))), _ROWS)
        place = functions.row_number().over(Window.partitionBy("label").orderBy("split_key", *name))
        rows = rows.withColumn("rank", place if is_ranked else functions.lit(0))
        rows = rows.repartition(buckets, "bucket")
        rows = rows.sortWithinPartitions("bucket", "order_key", "label", "rank", *name)
        columns = rows.select("bucket", "split", "label", "rank", "name")
        with polled(self._idle.look):
            counted = _collect(columns.mapInArrow(self._checked(_write_buckets(str(job))), _COUNTS))
        return [BucketCount(row["bucket"], row["split"], row["images"]) for row in counted]

    def _checked(self, run: Callable[[Iterator[Any]], Iterator[Any]]) -> Callable[[Iterator[Any]], Iterator[Any]]:
        return with_our_packages(run, self._source)


# The functions below are sent to the workers as they are, so they import inside.


def _attempts(task: Task, job: str) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def run(batches: Iterator[Any]) -> Iterator[Any]:
        from pathlib import Path

        import pyarrow

        from datasets.distributed.engine import attempt

        for batch in batches:
            for number in batch.column(0).to_pylist():
                answer = attempt(task, Path(job), number)
                yield pyarrow.RecordBatch.from_pydict({"number": [number], "answer": [answer]})

    return run


def _read_rows(job: str) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def run(batches: Iterator[Any]) -> Iterator[Any]:
        from pathlib import Path

        from datasets.distributed.ordering import read_rows

        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from read_rows(Path(job), number)

    return run


def _write_buckets(job: str) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def run(batches: Iterator[Any]) -> Iterator[Any]:
        from pathlib import Path

        import pyarrow

        from datasets.distributed.ordering import write_buckets

        types = {"bucket": pyarrow.int32(), "split": pyarrow.int32(), "images": pyarrow.int64()}
        schema = pyarrow.schema(list(types.items()))
        for count in write_buckets(Path(job), batches):
            yield pyarrow.RecordBatch.from_pylist([count._asdict()], schema=schema)

    return run


def _collect(table: Any) -> Any:
    try:
        return table.collect()
    except Exception as error:
        # Of Py4J, gRPC or Spark: they have no common base.
        log.debug("The Spark job failed:", exc_info=True)
        if found := re.search(r"datasets\.errors\.DataError: (.+)", str(error)):
            raise DataError(found[1]) from error
        raise RunError(f"The Spark job failed: {first_line(error)}") from error
