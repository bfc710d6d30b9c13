"""scripts/benchmark.py wire: what a step costs in CPU and bytes, measured in network namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def _benchmark(*words, **environment):
    return subprocess.run(
        [sys.executable, ROOT / "scripts/benchmark.py", "wire", *words],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_each_way_of_training_sends_as_many_bytes_as_the_arithmetic_says(network, shapes_dir):
    result = _benchmark(f"--dataset_dir={shapes_dir}", "--rounds=1", "--steps=10", "--workers", "2")
    assert result.returncode == 0, result.stderr
    lines = {line["job"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert set(lines) == {"local", "asynchronous", "synchronous", "all-reduce"}
    for job in set(lines) - {"local"}:
        # Headers, batch norm's statistics, and a step at either end of the measurement.
        assert 0.85 < lines[job]["ratio"]["sent"] < 1.3, lines[job]
    assert lines["local"]["worker"]["sent"] < 1000


def test_without_network_namespaces_the_benchmark_says_what_it_needs():
    result = _benchmark("--dataset_dir=data", PATH="")
    assert result.returncode == 1
    assert "wire: error: network namespaces need " in result.stderr
    assert result.stdout == ""
