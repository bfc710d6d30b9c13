"""CPU seconds and bytes on the wire of a step, by the number of workers; needs Linux, root and iproute2.

Every task has one thread, and a network namespace with a link of its own whose counters give the bytes (TCP/IP headers
included, before segmentation). All figures are means of the tasks and of one step of one worker: those of a parameter
server are its work for one gradient. ``ratio`` compares the CPU of a worker with that of the local job, which trains in
one process, and the bytes that a worker sends with those that docs/scaling.md reckons with. Input is synthetic.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deployment.threads import thread_environment

_ROOT = Path(__file__).resolve().parent.parent.parent
_TRAIN = [sys.executable, str(_ROOT / "scripts" / "train_image_classifier.py")]
_LIMIT_SECS = 1800

# Parameter servers of each job, and its flags.
JOBS: dict[str, tuple[int, list[str]]] = {
    "asynchronous": (1, []),
    "synchronous": (1, ["--sync_replicas"]),
    "all-reduce": (0, []),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--dataset_dir", required=True, help="any data set: only its number of classes is used")
    parser.add_argument("--model_name", default="mobilenet_v1_025")
    parser.add_argument("--image_size", type=int, default=96)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=40, help="steps of each worker that are measured, after as many")
    parser.add_argument("--rounds", type=int, default=3, help="how often each job runs; figures are medians")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the cost of a step of each job."""
    from scripts.benchmarks import _network

    reason = _network.why_not()
    if reason:
        sys.exit(f"wire: error: {reason}.")
    trained_bytes = _trained_bytes(args)
    local = _median([_cost(args, "local", 1) for _ in range(args.rounds)])
    yield {**_line(args, "local", 1, trained_bytes), "worker": local["worker"].shown()}
    for job in args.jobs:
        for num_workers in args.workers:
            if num_workers == 1 and not JOBS[job][0]:
                continue  # nobody to all-reduce with
            cost = _median([_cost(args, job, num_workers) for _ in range(args.rounds)])
            expected = trained_bytes if JOBS[job][0] else 2 * trained_bytes * (num_workers - 1) / num_workers
            yield {
                **_line(args, job, num_workers, trained_bytes),
                **{type_: of_task.shown() for type_, of_task in cost.items()},
                "ratio": {
                    "cpu": round(cost["worker"].cpu_secs / local["worker"].cpu_secs, 2),
                    "sent": round(cost["worker"].sent / expected, 2),
                },
            }


class Cost(NamedTuple):
    """CPU seconds and bytes, so far or of a step."""

    cpu_secs: float
    received: float
    sent: float

    def plus(self, other: Cost) -> Cost:
        return Cost(self.cpu_secs + other.cpu_secs, self.received + other.received, self.sent + other.sent)

    def until(self, later: Cost, num_steps: int) -> Cost:
        """Return the cost of each of the steps between two moments."""
        return Cost(
            (later.cpu_secs - self.cpu_secs) / num_steps,
            (later.received - self.received) / num_steps,
            (later.sent - self.sent) / num_steps,
        )

    def shown(self) -> dict[str, float]:
        return {"cpu_ms": round(1e3 * self.cpu_secs, 1), "received": round(self.received), "sent": round(self.sent)}


def _line(args: argparse.Namespace, job: str, num_workers: int, trained_bytes: int) -> dict[str, Any]:
    names = ("model_name", "image_size", "batch_size")
    of_net = {name: getattr(args, name) for name in names}
    return {"job": job, "workers": num_workers, **of_net, "trained_bytes": trained_bytes}


def _median(rounds: list[dict[str, Cost]]) -> dict[str, Cost]:
    return {
        type_: Cost(*(statistics.median(values) for values in zip(*(costs[type_] for costs in rounds), strict=True)))
        for type_ in rounds[0]
    }


def _trained_bytes(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = [*_command(args, Path(folder)), "--dry_run"]
        shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = re.search(r" trained, ([\d,]+) bytes", shown)
    assert found, shown
    return int(found[1].replace(",", ""))


def _command(args: argparse.Namespace, folder: Path) -> list[str]:
    from scripts.benchmarks._commands import training_flags

    return [
        *_TRAIN,
        *training_flags(args, folder),
        "--startup_delay_steps=0",
        "--save_summaries_secs=0",
        "--save_interval_secs=3600",
        "--learning_rate=0.001",
    ]


def _cost(args: argparse.Namespace, job: str, num_workers: int) -> dict[str, Cost]:
    """What a step of one worker costs each type of task."""
    print(f"Running {job}, workers: {num_workers}", file=sys.stderr, flush=True)
    num_ps, flags = JOBS.get(job, (0, []))
    # Each asynchronous worker moves the global step, the others move it together.
    gradients_per_step = 1 if job == "asynchronous" else num_workers
    steps = args.steps * num_workers // gradients_per_step
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(_Cluster(Path(folder))) as cluster:
        command = [*_command(args, Path(folder)), *flags, f"--log_every_n_steps={max(1, steps // 10)}"]
        cluster.start(command, {"ps": num_ps, "worker": num_workers})
        cluster.wait_until_all_train()
        began = cluster.wait_for_step(cluster.step() + steps)
        before = cluster.costs()
        num_gradients = (cluster.wait_for_step(began + steps) - began) * gradients_per_step
        after = cluster.costs()
    return {type_: before[type_].until(after[type_], num_gradients) for type_ in after}


class _Cluster:
    """Training processes, each in a network namespace."""

    def __init__(self, folder: Path) -> None:
        from scripts.benchmarks import _network

        self._folder = folder
        _network.remove_forgotten()
        self._network = _network.Network()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._deadline = time.monotonic() + _LIMIT_SECS

    def start(self, command: Sequence[str], sizes: Mapping[str, int]) -> None:
        tasks = [(type_, index) for type_, size in sizes.items() for index in range(size)]
        addresses: dict[str, list[str]] = {}
        for type_, index in tasks:
            addresses.setdefault(type_, []).append(self._network.address(f"{type_} {index}"))
        for type_, index in tasks:
            name, tf_config = f"{type_} {index}", {"cluster": addresses, "task": {"type": type_, "index": index}}
            environment = {**os.environ, **thread_environment(1), "TF_CONFIG": json.dumps(tf_config)}
            with self._log(name).open("wb") as log:
                self._processes[name] = subprocess.Popen(
                    [*self._network.command(name), *command], stdout=log, stderr=log, env=environment
                )

    def wait_until_all_train(self) -> None:
        for name in self._processes:
            while name.startswith("worker") and b" images/s" not in self._log(name).read_bytes():
                self._pause()

    def wait_for_step(self, step: int) -> int:
        """Return the global step as soon as it has come to ``step``."""
        while self.step() < step:
            self._pause()
        return self.step()

    def step(self) -> int:
        """Return the global step in the last whole line of metrics.jsonl."""
        lines = (self._folder / "run" / "metrics.jsonl").read_text().rpartition("\n")[0].splitlines()
        return int(json.loads(lines[-1])["step"])

    def costs(self) -> dict[str, Cost]:
        """Return what all tasks of each type have cost so far."""
        costs: dict[str, Cost] = {}
        for name, process in self._processes.items():
            type_ = name.partition(" ")[0]
            # After the name, which may have spaces, field 12 is the user's time, field 13 the system's.
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            cpu_secs = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            costs[type_] = costs.get(type_, Cost(0, 0, 0)).plus(Cost(cpu_secs, *self._network.traffic(name)))
        return costs

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._network.close()

    def _pause(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None or time.monotonic() > self._deadline:
                said = self._log(name).read_text(errors="replace")
                sys.exit(f"{name} {'takes too long' if process.returncode is None else 'has ended'}:\n{said}")
        time.sleep(0.01)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"
