"""What scripts/benchmarks/ share."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

COMMANDS = Path(__file__).resolve().parents[3] / "scripts/benchmarks/_commands.py"


def test_a_command_that_is_timed_is_told_of_on_stderr_while_it_runs(capfd: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("_commands", COMMANDS)
    assert spec and spec.loader
    commands = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(commands)
    seconds, _ = commands.timed(["-c", "import sys; sys.stderr.write('now\\n')", Path("a b")])
    assert seconds > 0
    told, now = capfd.readouterr().err.splitlines()[-2:]
    assert told.startswith("Running ")
    assert told.endswith("'a b'")
    assert now == "now"
