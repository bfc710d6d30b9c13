"""Whole commands: timing them, and the flags that several trainings share."""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def timed(command: Sequence[str | Path]) -> tuple[float, float]:
    """Seconds and CPU seconds that a Python command takes; what it is goes to stderr, since it may take minutes."""
    print(f"Running {shlex.join(map(str, command))}", file=sys.stderr, flush=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, *command], check=True, env=quiet, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def training_flags(args: argparse.Namespace, folder: str | Path) -> list[str]:
    """Return the flags with which a benchmark of clusters trains its net in ``folder/run``, on images made up."""
    return [
        f"--dataset_dir={args.dataset_dir}",
        f"--train_dir={folder}/run",
        f"--model_name={args.model_name}",
        f"--train_image_size={args.image_size}",
        f"--batch_size={args.batch_size}",
        "--optimizer=momentum",
        "--use_synthetic_data",
        "--clone_on_cpu",
    ]
