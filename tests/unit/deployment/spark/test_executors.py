from __future__ import annotations

import itertools
import types

import pytest

from deployment.spark.executors import IdleWatch, is_idle


def watched(states: list[bool], caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what is logged for the states of as many seconds."""
    clock = itertools.count(0.0, 0.5)
    answers = iter(states)
    watch = IdleWatch(lambda: next(answers), "--spark_master=spark://a:1", seconds=2, clock=lambda: next(clock))
    with caplog.at_level("INFO"):
        for _ in states:
            watch.look()
    return [record.getMessage() for record in caplog.records]


def test_a_job_without_executors_is_noticed_once(caplog: pytest.LogCaptureFixture) -> None:
    (said,) = watched([False] + [True] * 20, caplog)
    assert said.startswith("--spark_master=spark://a:1: no executor has run a task for 2 seconds.")


def test_executors_that_come_back_are_said_and_short_gaps_are_not(caplog: pytest.LogCaptureFixture) -> None:
    assert watched([True, False] * 10, caplog) == []
    said = watched([True] * 10 + [False] * 3 + [True] * 10, caplog)
    assert ["again" in line for line in said] == [False, True, False]


def session(*stages: tuple[int, int, int]) -> types.SimpleNamespace:
    """A session with stages of (tasks, active, completed)."""
    infos = [types.SimpleNamespace(numTasks=n, numActiveTasks=a, numCompletedTasks=c) for n, a, c in stages]
    tracker = types.SimpleNamespace(
        getActiveStageIds=lambda: range(len(infos)), getStageInfo=lambda stage: infos[stage]
    )
    return types.SimpleNamespace(sparkContext=types.SimpleNamespace(statusTracker=lambda: tracker))


@pytest.mark.parametrize(
    ("stages", "expected"), [((), False), (((4, 0, 1),), True), (((4, 1, 1),), False), (((4, 0, 4),), False)]
)
def test_a_session_is_idle_if_a_stage_waits_and_none_of_its_tasks_runs(
    stages: tuple[tuple[int, int, int], ...], expected: bool
) -> None:
    assert is_idle(session(*stages)) is expected


def test_a_session_that_ends_during_a_look_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def is_gone() -> bool:
        raise ConnectionError("the session has ended")

    with caplog.at_level("INFO"):
        IdleWatch(is_gone, "--spark_master=yarn").look()
    assert not caplog.records
