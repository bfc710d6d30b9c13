"""What a task reports of itself."""

from __future__ import annotations

import json
import logging
import os
import threading

import pytest

from deployment import task_status
from deployment.task_status import PIPE, ReportWarnings, describe_pipe


def test_a_signal_whose_handler_logs_a_warning_may_come_in_the_middle_of_a_report(reported, monkeypatch):
    dumps = json.dumps
    handler = ReportWarnings()
    record = logging.LogRecord("job", logging.WARNING, __file__, 1, "stopping", (), None)

    def interrupted(values):
        monkeypatch.setattr(json, "dumps", dumps)
        handler.emit(record)
        return dumps(values)

    monkeypatch.setattr(json, "dumps", interrupted)
    thread = threading.Thread(target=task_status.report, kwargs={"step": 3}, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert reported() == [{"warning": "stopping"}, {"step": 3}]


def test_a_long_list_of_tasks_is_shortened_to_what_a_pipe_takes_at_once(reported):
    task_status.report(waiting_for=[f"worker {index} (host:2222)" for index in range(1000)])
    (values,) = reported()
    assert values["waiting_for"][0] == "worker 0 (host:2222)"
    assert values["waiting_for"][-1] == "980 more"


@pytest.fixture
def reported(monkeypatch):
    """Return what has been reported since the last call."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    monkeypatch.setenv(PIPE, describe_pipe(writer))

    def read():
        try:
            return [json.loads(line) for line in os.read(reader, 1 << 16).splitlines()]
        except BlockingIOError:
            return []

    yield read
    os.close(reader)
    os.close(writer)


def test_the_state_before_comes_back_after_a_block(reported):
    task_status.report(state="training", waiting_for=[])
    with task_status.during("saving"):
        pass
    assert [line["state"] for line in reported()] == ["training", "saving", "training"]


def test_warnings_are_reported_by_their_first_line_and_other_messages_are_not(reported):
    log = logging.getLogger("test_task_status")
    log.addHandler(ReportWarnings())
    log.info("step 1")
    log.warning("%s is gone\nbecause", "worker 1")
    assert reported() == [{"warning": "worker 1 is gone"}]


def test_without_a_pipe_nothing_happens(monkeypatch):
    monkeypatch.delenv(PIPE, raising=False)
    task_status.report(step=1)


def test_a_file_that_has_the_number_of_the_pipe_by_now_is_left_alone(tmp_path, monkeypatch):
    with (tmp_path / "file").open("wb", buffering=0) as file:
        monkeypatch.setenv(PIPE, f"{file.fileno()}:1")
        task_status.report(step=1)
    assert not (tmp_path / "file").read_bytes()


def test_a_reader_that_is_gone_is_no_error(monkeypatch):
    reader, writer = os.pipe()
    monkeypatch.setenv(PIPE, describe_pipe(writer))
    os.close(reader)
    task_status.report(step=1)
    os.close(writer)
