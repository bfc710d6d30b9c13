"""Images a second of whole jobs on this machine: alone, with parameter servers, by all-reduce; synthetic input.

Every job is the command itself, started by launch_cluster as a user would: the CPUs are shared out among its roles.
Jobs run in turn, several rounds of them, and ``ratio`` is the images a second of all workers together over those of the
local job of the same round. The first fifth of the steps, in which workers join one by one, does not count.

``cpu_ms`` is the CPU time of each type of task for a batch of one worker (Linux). ``bound`` is the CPU time of the
local job over that of all tasks: the ratio on the same cores if they were as busy as in the local job. If ``ratio`` is
lower, cores are idle. ``--trace`` says where: it runs 1 ps + 1 worker once more, with traced steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_ROOT = Path(__file__).resolve().parent.parent.parent
_TRAIN = [sys.executable, str(_ROOT / "scripts" / "train_image_classifier.py")]
_LAUNCH = [sys.executable, str(_ROOT / "scripts" / "launch_cluster.py")]

_TRACED = [sys.executable, str(Path(__file__).resolve().parent / "_step_trace.py")]
_POLL_SECS = 0.05
_TRACED_STEPS = 20


class _Job(NamedTuple):
    """A job: flags of launch_cluster (none: no cluster), workers, whether they move a global step together, flags."""

    cluster: list[str]
    num_workers: int = 1
    is_together: bool = False
    flags: tuple[str, ...] = ()


JOBS = {
    "local": _Job([]),
    "1 ps + 1 worker": _Job(["--num_ps=1", "--num_workers=1"]),
    "1 ps + 2 workers": _Job(["--num_ps=1", "--num_workers=2"], 2),
    "1 ps + 2 sync replicas": _Job(["--num_ps=1", "--num_workers=2"], 2, True, ("--sync_replicas",)),
    "2-task all-reduce": _Job(["--num_ps=0", "--num_workers=2"], 2, True),
}


class _Rate(NamedTuple):
    """Images a second of all workers, and CPU milliseconds of each type of task for a batch of one worker."""

    images_per_second: float
    cpu_ms: dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--dataset_dir", required=True, help="any data set: only its number of classes is used")
    parser.add_argument("--model_name", default="mobilenet_v1")
    parser.add_argument("--image_size", type=int, default=96)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument(
        "--steps", type=int, default=100, help="steps of each job, for one worker; the first fifth warms up"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ps_wire_dtype", default="fp32", help="of jobs with parameter servers")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS), help="which; local always runs")
    parser.add_argument("--trace", action="store_true", help="also show the parts of a step of 1 ps + 1 worker")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the images a second of each job, and their ratio to the local job's."""
    jobs = ["local", *(job for job in args.jobs if job != "local")]
    rates: dict[str, list[_Rate]] = {job: [] for job in jobs}
    for _ in range(args.rounds):
        for job in jobs:
            rates[job].append(_rate(args, JOBS[job]))
    local = rates["local"]
    local_cpu_ms = sum(_median_cpu(local).values())
    for job in jobs:
        cpu_ms = _median_cpu(rates[job])
        ratios = [a.images_per_second / b.images_per_second for a, b in zip(rates[job], local, strict=True)]
        yield {
            **_named(args, job),
            "images_per_second": round(statistics.median(rate.images_per_second for rate in rates[job]), 1),
            "ratio": round(statistics.median(ratios), 3),
            "cpu_ms": {name: round(value, 1) for name, value in cpu_ms.items()},
            "bound": round(local_cpu_ms / sum(cpu_ms.values()), 3) if cpu_ms else None,
        }
    if args.trace:
        yield {**_named(args, "1 ps + 1 worker"), "milliseconds": _traced(args)}


def _named(args: argparse.Namespace, job: str) -> dict[str, Any]:
    names = ("model_name", "image_size", "batch_size", "ps_wire_dtype")
    return {"job": job, **{name: getattr(args, name) for name in names}}


def _median_cpu(rates: list[_Rate]) -> dict[str, float]:
    return {name: statistics.median(rate.cpu_ms[name] for rate in rates) for name in rates[0].cpu_ms}


def _flags(args: argparse.Namespace, folder: str, steps: int) -> list[str]:
    from scripts.benchmarks._commands import training_flags

    return [
        *training_flags(args, folder),
        f"--max_number_of_steps={steps}",
        f"--log_every_n_steps={max(1, steps // 20)}",
        f"--ps_wire_dtype={args.ps_wire_dtype}",
    ]


def _traced(args: argparse.Namespace) -> dict[str, float]:
    """Return the medians of the parts of a step."""
    with tempfile.TemporaryDirectory() as folder:
        first = max(2, args.steps // 5)
        trace = [*_TRACED, f"{folder}/trace.json", str(first), str(_TRACED_STEPS)]
        command = [*trace, *_flags(args, folder, first + _TRACED_STEPS)]
        _Run([*_LAUNCH, *JOBS["1 ps + 1 worker"].cluster, "--", *command], Path(folder)).wait(is_measured=False)
        parts: dict[str, float] = json.loads((Path(folder) / "trace.json").read_text())
        return parts


def _rate(args: argparse.Namespace, job: _Job) -> _Rate:
    """Run a job."""
    # Asynchronous workers each count their own steps; the others count one together.
    steps = args.steps * (1 if job.is_together else job.num_workers)
    with tempfile.TemporaryDirectory() as folder:
        command = [*_TRAIN, *_flags(args, folder, steps), *job.flags]
        if job.cluster:
            command = [*_LAUNCH, *job.cluster, "--", *command]
        run = _Run(command, Path(folder))
        run.wait()
        lines = run.lines()
    warm_up = [line["step"] for line in lines if line["step"] <= steps // 5]
    measured = lines[len(warm_up) :]
    # A line's rate is that of the steps since the line before it.
    ends = [warm_up[-1], *(line["step"] for line in measured)]
    seconds = sum(
        (end - begin) / line["images_per_second"]
        for begin, end, line in zip(ends[:-1], ends[1:], measured, strict=True)
    )
    batches = job.num_workers if job.is_together else 1
    return _Rate((ends[-1] - ends[0]) / seconds, run.cpu_ms(steps // 5, batches))


class _Run:
    """A job that runs, and the CPU time of its tasks at the steps that it logs."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._command, self._folder = command, folder
        self._cpu_secs: list[tuple[int, dict[str, float]]] = []

    def lines(self) -> list[dict[str, Any]]:
        """Return the whole lines of metrics.jsonl so far."""
        path = self._folder / "run" / "metrics.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]

    def wait(self, is_measured: bool = True) -> None:
        """Run to the end; end this program if the job fails."""
        with (self._folder / "log").open("wb") as log:
            process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
            while process.poll() is None:
                if is_measured and (lines := self.lines()):
                    step = lines[-1]["step"]
                    if not self._cpu_secs or self._cpu_secs[-1][0] < step:
                        self._cpu_secs.append((step, _cpu_secs(process.pid)))
                time.sleep(_POLL_SECS)
        if process.returncode:
            sys.exit(f"{' '.join(self._command)} failed:\n{(self._folder / 'log').read_text(errors='replace')}")

    def cpu_ms(self, first_step: int, batches: int) -> dict[str, float]:
        """Return the CPU milliseconds of each type of task for a batch, from a step to the last line but one."""
        measured = [(step, secs) for step, secs in self._cpu_secs[:-1] if step >= first_step and secs]
        if len(measured) < 2:
            return {}
        (begin, before), (end, after) = measured[0], measured[-1]
        return {type_: 1e3 * (after[type_] - before[type_]) / (end - begin) / batches for type_ in after}


def _cpu_secs(launched: int) -> dict[str, float]:
    """CPU seconds of each type of task so far; nothing without /proc."""
    secs: dict[str, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if launched not in (int(folder.name), int(fields[1])):
                continue
            variables = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if _LAUNCH[1].encode() in command.split(b"\0")[1:2]:
            continue
        config = next((json.loads(of[len("TF_CONFIG=") :]) for of in variables if of.startswith(b"TF_CONFIG=")), {})
        type_ = "ps" if config.get("task", {}).get("type") == "ps" else "worker"
        # After the name, which may have spaces, field 12 is the user's time, field 13 the system's.
        secs[type_] = secs.get(type_, 0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return secs
