"""Spark's Java does not outlive a start that was interrupted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from deployment.spark.lost_java import ended_if_interrupted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
_WAIT = [sys.executable, "-c", "input()"]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*_WAIT, *words], stdin=subprocess.PIPE)


def launch_gateway(started: list[subprocess.Popen[bytes]]) -> None:
    """Do as pyspark's function of this name that is interrupted."""
    started.append(start("pyspark-shell"))
    started.append(start("another"))
    raise KeyboardInterrupt


def test_what_pyspark_was_starting_is_ended_and_nothing_else(started: list[subprocess.Popen[bytes]]) -> None:
    started.append(start("pyspark-shell"))  # of another session
    with pytest.raises(KeyboardInterrupt), ended_if_interrupted():
        launch_gateway(started)
    before, java, other = started
    assert java.wait(30) < 0
    assert (before.poll(), other.poll()) == (None, None)


def test_what_has_started_stays(started: list[subprocess.Popen[bytes]]) -> None:
    with ended_if_interrupted():
        started.append(start("pyspark-shell"))
    assert started[0].poll() is None


def test_a_java_to_which_pyspark_is_connected_serves_the_next_session(started: list[subprocess.Popen[bytes]]) -> None:
    with pytest.raises(ValueError, match="no such setting"), ended_if_interrupted():
        started.append(start("pyspark-shell"))
        raise ValueError("no such setting")
    assert started[0].poll() is None
