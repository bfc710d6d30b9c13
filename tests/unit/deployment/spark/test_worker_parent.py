from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deployment.spark.worker_parent import ParentLostError, WorkerParent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


def test_a_call_runs_in_a_fork_that_has_the_modules() -> None:
    with WorkerParent(["fractions"], {"COLOR": "green"}) as parent:
        first, second = (parent.call("os:getpid") for _ in range(2))
        assert len({first, second, os.getpid()}) == 3
        assert parent.call("os:getppid") == parent.call("os:getppid")
        assert parent.call("os:getenv", "COLOR") == "green"
        assert "fractions" in parent.call("builtins:eval", "sorted(__import__('sys').modules)")


def test_errors_and_log_lines_of_a_call_come_back(caplog: pytest.LogCaptureFixture) -> None:
    with WorkerParent([], {}) as parent:
        with pytest.raises(ValueError, match="math domain error"):
            parent.call("math:sqrt", -1.0)
        with caplog.at_level("INFO"):
            parent.call("logging:info", "a %s line", "green")
    assert caplog.record_tuples == [("root", logging.INFO, "a green line")]


def test_a_result_that_cannot_be_pickled_is_an_error() -> None:
    with WorkerParent([], {}) as parent, pytest.raises(RuntimeError, match="cannot pickle"):
        parent.call("threading:Lock")


def test_a_parent_that_cannot_import_is_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with WorkerParent(["no_such_module_of_ours"], {}) as parent, pytest.raises(ParentLostError):
        parent.call("os:getpid")
    assert "no_such_module_of_ours" in capfd.readouterr().err


@pytest.mark.parametrize("end", ["parent.close()", "os._exit(0)"])
def test_the_process_and_its_calls_end_with_the_one_that_started_it(end: str) -> None:
    code = (
        "import os, threading, time\n"
        "from deployment.spark.worker_parent import WorkerParent\n"
        "parent = WorkerParent([], {})\n"
        "assert parent.call('os:getpgrp') != os.getpgrp()  # Ctrl-C on a terminal does not reach it\n"
        "threading.Thread(target=parent.call, args=('time:sleep', 600), daemon=True).start()\n"
        "time.sleep(0.5)\n"
        f"{end}\n"
        "os._exit(0)\n"
    )
    # The output ends when the last process that holds it has ended.
    subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)


def test_the_folder_for_temporary_files_may_have_a_long_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ("long" * 30)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    with WorkerParent([], {}) as parent:
        assert parent.call("operator:add", 3, 4) == 7
