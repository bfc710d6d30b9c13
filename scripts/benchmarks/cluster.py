"""Images a second of whole jobs on this machine: alone, with parameter servers, by all-reduce; synthetic input.

Every job is the command itself, started by launch_cluster as a user would: the CPUs are shared out among its roles.
Jobs run in turn, several rounds of them, and ``ratio`` is the images a second of all workers together over those of the
local job of the same round. The first fifth of the steps, in which workers join one by one, does not count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent.parent
_TRAIN = [sys.executable, str(_ROOT / "scripts" / "train_image_classifier.py")]
_LAUNCH = [sys.executable, str(_ROOT / "scripts" / "launch_cluster.py")]

# What launch_cluster gets, and how many workers push a global step forward.
JOBS: dict[str, tuple[list[str], int]] = {
    "local": ([], 1),
    "1 ps + 1 worker": (["--num_ps=1", "--num_workers=1"], 1),
    "1 ps + 2 workers": (["--num_ps=1", "--num_workers=2"], 2),
    "2-task all-reduce": (["--num_ps=0", "--num_workers=2"], 2),
}


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


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the images a second of each job, and their ratio to the local job's."""
    jobs = ["local", *(job for job in args.jobs if job != "local")]
    rates: dict[str, list[float]] = {job: [] for job in jobs}
    for _ in range(args.rounds):
        for job in jobs:
            rates[job].append(_images_per_second(args, *JOBS[job]))
    for job in jobs:
        yield {
            "job": job,
            "model_name": args.model_name,
            "image_size": args.image_size,
            "batch_size": args.batch_size,
            "ps_wire_dtype": args.ps_wire_dtype,
            "images_per_second": round(statistics.median(rates[job]), 1),
            "ratio": round(statistics.median(a / b for a, b in zip(rates[job], rates["local"], strict=True)), 3),
        }


def _images_per_second(args: argparse.Namespace, cluster: list[str], num_workers: int) -> float:
    """Images a second of all workers of one job."""
    is_all_reduced = "--num_ps=0" in cluster
    # Asynchronous workers each count their own steps; those that all-reduce count one together.
    steps = args.steps * (1 if is_all_reduced else num_workers)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *_TRAIN,
            f"--dataset_dir={args.dataset_dir}",
            f"--train_dir={folder}/run",
            f"--model_name={args.model_name}",
            f"--train_image_size={args.image_size}",
            f"--batch_size={args.batch_size}",
            f"--max_number_of_steps={steps}",
            f"--log_every_n_steps={max(1, steps // 20)}",
            "--optimizer=momentum",
            "--use_synthetic_data",
            "--clone_on_cpu",
            f"--ps_wire_dtype={args.ps_wire_dtype}",
        ]
        if cluster:
            command = [*_LAUNCH, *cluster, "--", *command]
        job = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if job.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{job.stdout}")
        lines = [json.loads(line) for line in (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()]
    warm_up = [line["step"] for line in lines if line["step"] <= steps // 5]
    measured = lines[len(warm_up) :]
    # A line's rate is that of the steps since the line before it.
    ends = [warm_up[-1], *(line["step"] for line in measured)]
    seconds = sum(
        (end - begin) / line["images_per_second"]
        for begin, end, line in zip(ends[:-1], ends[1:], measured, strict=True)
    )
    return (ends[-1] - ends[0]) / seconds
