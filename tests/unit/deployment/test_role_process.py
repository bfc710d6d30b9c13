"""The processes of a job."""

from __future__ import annotations

import signal
import sys
import time

from deployment.role_process import Role, RoleProcess


def _start(code, **environment):
    return RoleProcess(Role("worker 1", environment), [sys.executable, "-c", code], b"[worker 1] ", b"[worker 1] ")


def test_its_lines_are_passed_on_under_its_name_and_its_exit_code_is_told(capsys):
    process = _start("import os, sys; print(os.environ['WHO']); sys.exit(3)", WHO="me")
    while process.poll() is None:
        time.sleep(0.01)
    assert process.bury(5) == 3
    assert capsys.readouterr().out == "[worker 1] me\n"


def test_burying_ends_what_still_runs():
    process = _start("import time; time.sleep(60)")
    assert process.poll() is None
    assert process.bury(5) == -signal.SIGKILL
    process.send(signal.SIGTERM)  # to nobody
