"""The processes of a job."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from deployment.role_output import LineWriter
from deployment.role_process import Role, RoleProcess

ROOT = Path(__file__).resolve().parents[3]


def _start(code, lines=None, reports=None, **environment):
    written, reported = lines if lines is not None else [], reports if reports is not None else []
    output = LineWriter(written.append, b"[worker 1] ")
    command = [sys.executable, "-c", code]
    return RoleProcess(Role("worker 1", environment), command, output, output, LineWriter(reported.append))


def _exit_code(process):
    while process.poll() is None:
        time.sleep(0.01)
    return process.bury(5)


def test_its_lines_are_passed_on_under_its_name_and_its_exit_code_is_told():
    lines = []
    assert _exit_code(_start("import os, sys; print(os.environ['WHO']); sys.exit(3)", lines, WHO="me")) == 3
    assert lines == [b"[worker 1] me\n"]


def test_what_it_reports_of_itself_is_passed_on():
    reports = []
    code = "from deployment import task_status; task_status.report(step=5)"
    assert _exit_code(_start(code, reports=reports, PYTHONPATH=str(ROOT))) == 0
    assert reports == [b'{"step": 5}\n']


def test_burying_ends_what_still_runs():
    process = _start("import time; time.sleep(60)")
    assert process.poll() is None
    assert process.bury(5) == -signal.SIGKILL
    process.send(signal.SIGTERM)  # to nobody
