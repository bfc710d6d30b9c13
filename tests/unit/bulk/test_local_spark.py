from __future__ import annotations

import sys
from pathlib import Path

import pytest

from slim_train.bulk.local_spark import forks_workers, worker_parent
from slim_train.bulk.parts import FEATURES
from slim_train.spark_options import SparkOptions

pytest.importorskip("pyspark", reason="pyspark is not installed (extra [spark])")


@pytest.mark.skipif(
    sys.platform != "linux" or any(Path("/dev").glob("nvidia[0-9]*")), reason="workers are forked on Linux without GPUs"
)
@pytest.mark.parametrize("master", ["local", "local[2]", "local[*,1]"])
def test_workers_of_a_local_master_are_forked(master: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    assert forks_workers(SparkOptions(spark_master=master, spark_conf="spark.task.cpus=2"))


@pytest.mark.parametrize(
    "options",
    [
        SparkOptions(),
        SparkOptions(spark_master="spark://a:7077"),
        SparkOptions(spark_master="local-cluster[1,1,700]"),
        SparkOptions(spark_remote="sc://a:15002"),
        SparkOptions(spark_master="local[2]", spark_conf="spark.python.daemon.module=mine"),
        SparkOptions(spark_master="local[2]", spark_conf="spark.executorEnv.PYTHONPATH=mine"),
    ],
)
def test_other_workers_are_started_as_spark_or_the_user_says(options: SparkOptions) -> None:
    assert not forks_workers(options)
    with worker_parent(options, FEATURES) as parent:
        assert parent is None


def test_another_python_for_workers_is_not_forked_from_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", "/opt/python")
    assert not forks_workers(SparkOptions(spark_master="local[2]"))
