"""A job at a glance, drawn."""

from __future__ import annotations

import io

from rich.console import Console

from deployment.cluster_status import TaskState
from deployment.dashboard import draw

_TASKS = (
    TaskState(
        "ps 0", "127.0.0.1:40111", "serving", warning="worker 1 has not answered for 30 s: giving up calls to it."
    ),
    TaskState("chief", "127.0.0.1:40112", "saving", step=12340, last_step=100000, steps_per_second=12.34),
    TaskState("worker 0", "127.0.0.1:40113", "waiting", ["ps 0 (127.0.0.1:40111)"], step=12338, images_per_second=99.0),
    TaskState("worker 1", "127.0.0.1:40114", "restarting", restarts=2, exit_code=-9),
    TaskState("evaluator", None, "evaluating"),
)


def _lines(width):
    console = Console(file=io.StringIO(), width=width)
    console.print(draw(_TASKS, 3, width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_each_task_has_a_line_with_its_state_step_rate_and_last_warning():
    assert _lines(80) == [
        "task       state               step  steps/s  last warning",
        "ps 0       serving                            worker 1 has not answered for 3…",
        "chief      saving            12,340     12.3",
        "worker 0   waiting for ps 0  12,338",
        "worker 1   restarting 2/3",
        "evaluator  evaluating",
        "all tasks: step 12,340 of 100,000",
    ]


def test_a_wide_terminal_has_addresses_too():
    assert _lines(120)[2] == "chief      127.0.0.1:40112  saving            12,340     12.3"
