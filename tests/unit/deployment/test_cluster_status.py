"""The state of the tasks of a job."""

from __future__ import annotations

import json

import pytest

from deployment.cluster_status import ClusterStatus, Publisher, TaskState, in_words


@pytest.fixture
def status():
    status = ClusterStatus({"ps 0": "127.0.0.1:1", "worker 0": "127.0.0.1:2", "worker 1": "127.0.0.1:3"}, 3)
    for pid, name in enumerate(("ps 0", "worker 0", "worker 1"), 10):
        status.started(name, pid)
    return status


def _report(status, name, **values):
    status.reported(name, json.dumps(values).encode() + b"\n")


def _states(status):
    return {task.name: task.state for task in status.tasks()}


def test_a_task_says_how_far_it_is(status):
    _report(status, "worker 0", state="training", step=7, last_step=9, steps_per_second=2.5)
    _report(status, "worker 1", state="waiting", waiting_for=["ps 0 (127.0.0.1:1)"])
    assert _states(status) == {"ps 0": "starting", "worker 0": "training", "worker 1": "waiting"}
    assert status.to_dict()["global_step"] == 7
    assert status.to_dict()["tasks"][1] == {
        "name": "worker 0", "address": "127.0.0.1:2", "state": "training", "waiting_for": [], "pid": 11, "step": 7,
        "last_step": 9, "steps_per_second": 2.5, "images_per_second": None, "restarts": 0, "exit_code": None,
        "warning": None, "lost": [],
    }  # fmt: skip


def test_a_task_that_is_started_again_is_restarting_until_it_says_more(status):
    status.ended("worker 1", -9, is_restarted=True, is_stopping=False)
    status.started("worker 1", 20)
    task = status.tasks()[2]
    assert (in_words(task, 3), task.exit_code, task.pid) == ("restarting 1/3", -9, 20)
    _report(status, "worker 1", state="training")
    assert status.tasks()[2].state == "training"


def test_a_task_that_does_not_answer_another_one_is_lost_for_as_long_as_that_says_so(status):
    _report(status, "ps 0", lost=["worker 1"])
    assert _states(status)["worker 1"] == "lost"
    _report(status, "ps 0", lost=[])
    assert _states(status)["worker 1"] == "starting"


def test_a_task_that_trains_and_does_not_answer_hangs_but_not_one_that_was_started_again(status):
    _report(status, "worker 0", state="training", lost=["worker 1", "somebody"])
    _report(status, "worker 1", state="training")
    assert status.hung("worker 0") == ["worker 1"]
    status.ended("worker 1", -9, is_restarted=True, is_stopping=False)
    assert status.hung("worker 0") == []
    status.started("worker 1", 20)
    _report(status, "worker 1", state="waiting")
    assert status.hung("worker 0") == []


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b"[1]\n",
        b"\xff\n",
        b"{}\n",
        b'{"pid": 5}\n',
        b'{"state": 1}\n',
        b'{"state": null}\n',
        b'{"step": true}\n',
        b'{"steps_per_second": NaN}\n',
        b'{"lost": null}\n',
        b'{"lost": [["worker 1"]]}\n',
        b'{"waiting_for": [1]}\n',
    ],
)
def test_what_is_not_understood_is_ignored(status, line):
    before = status.to_dict()
    status.reported("worker 0", line)
    assert status.to_dict() == before


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (TaskState("ps 0", state="serving"), "serving"),
        (TaskState("worker 0", state="waiting", waiting_for=["ps 0 (a:1)", "ps 1 (b:2)"]), "waiting for ps 0, ps 1"),
        (TaskState("worker 0", state="failed", exit_code=1), "failed: exit code 1"),
        (TaskState("worker 0", state="failed", exit_code=-9), "failed: killed by SIGKILL"),
        (TaskState("worker 0", state="failed", exit_code=-35), "failed: killed by signal 35"),
        (TaskState("worker 0", state="stopped", exit_code=0), "stopped: exit code 0"),
    ],
)
def test_states_in_words(task, words):
    assert in_words(task, 3) == words


def test_the_end_is_published_at_once(status):
    published = []
    publish = Publisher(status, published.append)
    publish()
    publish()
    status.exit_code = 1
    publish()
    assert [values["exit_code"] for values in published] == [None, 1]
