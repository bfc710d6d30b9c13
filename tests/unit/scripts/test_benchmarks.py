"""What scripts/benchmarks/ share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "scripts/benchmarks"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_command_that_is_timed_is_told_of_on_stderr_while_it_runs(capfd: pytest.CaptureFixture[str]) -> None:
    seconds, _ = _load("_commands").timed(["-c", "import sys; sys.stderr.write('now\\n')", Path("a b")])
    assert seconds > 0
    told, now = capfd.readouterr().err.splitlines()[-2:]
    assert told.startswith("Running ")
    assert told.endswith("'a b'")
    assert now == "now"


def test_the_parts_of_a_traced_step_add_up_to_it() -> None:
    trace = _load("_step_trace")
    worker, server = "/job:worker/task:0/device:CPU:0", "/job:ps/task:0/device:CPU:0"
    events = [
        trace.Event(worker, "NoOp", 0, 100),
        trace.Event(server, "ConcatV2", 500, 900),
        trace.Event(worker, "RecvTensor", 900, 2000),
        trace.Event(worker, "Conv2D", 3000, 5000),
        trace.Event(worker, "Relu", 5000, 6000),
        trace.Event(worker, "Conv2DBackpropFilter", 7000, 9000),
        trace.Event(server, "ResourceApplyMomentum", 9500, 9900),
        trace.Event(worker, "Identity", 9990, 10000),
    ]
    parts = trace.phases(events)
    assert {name: parts[name] for name in ("step", "head", "compute", "pulls", "tail")} == {
        "step": 10.0, "head": 3.0, "compute": 5.0, "pulls": 1.0, "tail": 1.0,
    }  # fmt: skip
    assert parts["update"] == pytest.approx(0.8)
    assert parts["transfers"] == 1.1
