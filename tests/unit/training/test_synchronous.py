"""A synchronous step that waits for a worker that is gone."""

from __future__ import annotations

import socket
import threading

from deployment.cluster import Task
from slim_train.training.synchronous import StepWatch


def _absent_worker():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Task("worker", 1, "worker", 1, f"127.0.0.1:{probe.getsockname()[1]}")


def test_a_step_that_waits_for_a_worker_that_is_not_there_is_given_up_and_names_it(caplog):
    worker, given_up = _absent_worker(), threading.Event()
    sessions = []

    def give_up(session):
        sessions.append(session)
        given_up.set()

    watch = StepWatch([worker], num_gradients=2, wait_secs=0.1, timeout_secs=0.1, give_up=give_up)
    with watch:
        watch.after_create_session("session", None)
        watch.before_run(None)
        assert given_up.wait(60)
    reason = f"worker 1 ({worker.address}): each step needs 2 gradients (--replicas_to_aggregate)"
    assert watch.loss == f"waited 0.1 s without success for {reason}"
    assert sessions == ["session"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"Waiting for {reason}."
    ]


def test_between_its_steps_a_task_waits_for_nobody():
    given_up = threading.Event()
    watch = StepWatch([_absent_worker()], 2, wait_secs=0.01, timeout_secs=0.01, give_up=lambda _: given_up.set())
    with watch:
        watch.before_run(None)
        watch.after_run(None, None)
        assert not given_up.wait(0.5)
    assert watch.loss is None
