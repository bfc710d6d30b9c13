from __future__ import annotations

import importlib.util
import socket
import sys

import pytest

from deployment.cluster import ClusterError
from deployment.spark.session import first_line, master_with_tries, spark_session, under_spark_submit

needs_pyspark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None, reason="pyspark is not installed (extra [spark])"
)


@pytest.mark.parametrize(
    ("master", "expected"),
    [
        ("local", "local[1,4]"),
        ("local[2]", "local[2,4]"),
        ("local[*,1]", "local[*,1]"),
        ("spark://a:7077", "spark://a:7077"),
        ("k8s://https://a:6443", "k8s://https://a:6443"),
    ],
)
def test_a_local_master_tries_a_task_again_as_a_cluster_does(master: str, expected: str) -> None:
    assert master_with_tries(master) == expected


def test_what_is_no_master_is_refused() -> None:
    with pytest.raises(ClusterError, match=r"--spark_master=loca\[2\] is not a master: local\[2\]"):
        master_with_tries("loca[2]")


def test_without_pyspark_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ClusterError, match="requires pyspark .*pip install"), spark_session("local", None, {}, "test"):
        pass


@needs_pyspark
@pytest.mark.parametrize("flag", ["--spark_master=spark", "--spark_remote=sc"])
def test_a_cluster_that_is_not_there_is_named_at_once(flag: str) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        address = f"{flag.partition('=')[2]}://127.0.0.1:{taken.getsockname()[1]}"
        given = (address, None) if "master" in flag else (None, address)
        with pytest.raises(ClusterError, match=f"{flag}.*cannot be reached"), spark_session(*given, {}, "test"):
            pass


@needs_pyspark
def test_an_address_without_a_port_is_refused() -> None:
    with pytest.raises(ClusterError, match="is not the address of a master"), spark_session("spark://a", None, {}, "x"):
        pass


def test_the_line_that_says_what_happened_is_found() -> None:
    message = "An error occurred while calling o1.x.\n: org.apache.spark.SparkException: Job aborted due to stage\n"
    error = RuntimeError(
        f"{message}Traceback (most recent call last):\n  File x\nslim_train.errors.RunError: no folder\n"
    )
    assert first_line(error) == "slim_train.errors.RunError: no folder"


def test_a_process_of_spark_submit_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not under_spark_submit()
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    assert under_spark_submit()
