"""The processes of a job, watched together: real ones, of the shell."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from deployment.role_process import Role
from deployment.supervisor import Supervisor


def _run(
    roles: dict[str, str], *, leader: str, needed: str = "", max_restarts: int = 0, finish_secs: float = 60
) -> int:
    """The exit code of a job whose roles each run a line of shell."""
    job = [Role(name, {"CODE": code}, leads=name == leader, is_needed=name == needed) for name, code in roles.items()]
    shell = ["/bin/sh", "-c", 'eval "$CODE"']
    return Supervisor(shell, job, max_restarts=max_restarts, finish_secs=finish_secs, grace_secs=60).run()


@pytest.mark.parametrize(("code", "expected"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 128 + 9)])
def test_the_jobs_exit_code_is_that_of_the_role_that_leads(code: str, expected: int) -> None:
    assert _run({"chief": code, "worker 0": "exit 5"}, leader="chief") == expected


def test_a_role_that_fails_is_started_again_up_to_the_number_allowed(tmp_path: Path) -> None:
    code = f"echo start >> {tmp_path}/starts; exit 3"
    assert _run({"chief": code}, leader="chief", max_restarts=2) == 3
    assert (tmp_path / "starts").read_text() == "start\n" * 3


def test_bad_usage_is_not_tried_again(tmp_path: Path) -> None:
    code = f"echo start >> {tmp_path}/starts; exit 2"
    assert _run({"chief": code}, leader="chief", max_restarts=2) == 2
    assert (tmp_path / "starts").read_text() == "start\n"


def test_the_job_fails_with_a_role_that_the_others_need() -> None:
    roles = {"chief": "exec sleep 600", "ps 0": "exit 4"}
    assert _run(roles, leader="chief", needed="ps 0") == 4


def test_whoever_is_left_when_the_leader_has_finished_is_terminated(tmp_path: Path) -> None:
    code = f"trap 'echo saved > {tmp_path}/worker; exit 0' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    chief = f"while [ ! -e {tmp_path}/ready ]; do sleep 0.05; done"
    assert _run({"chief": chief, "worker 0": code}, leader="chief", finish_secs=0) == 0
    assert (tmp_path / "worker").read_text() == "saved\n"


def test_a_signal_reaches_those_that_are_needed_only_after_the_others_have_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    trapped = "trap 'echo {0} >> {1}; exit 0' TERM; touch {2}; while :; do sleep 0.05; done"
    roles = {
        "ps 0": trapped.format("ps", log, tmp_path / "ps"),
        # Slower to save than the other is to leave: told at the same time, it would come second.
        "chief": trapped.format("chief", log, tmp_path / "chief").replace("'echo", "'sleep 0.5; echo"),
        "worker 0": (
            f"while [ ! -e {tmp_path}/ps -o ! -e {tmp_path}/chief ]; do sleep 0.05; done; kill -TERM {os.getpid()}"
        ),
    }
    before = signal.getsignal(signal.SIGTERM)
    assert _run(roles, leader="chief", needed="ps 0") == 0
    assert log.read_text().split() == ["chief", "ps"]
    assert signal.getsignal(signal.SIGTERM) is before
