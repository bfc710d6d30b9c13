"""Tasks of a cluster in network namespaces, each on an address and a link of its own, and faults of the network.

Needs Linux, root and iproute2; elsewhere these tests are skipped. All traffic stays in the namespaces.
"""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

# Of a test: it fails rather than hold up those after it.
_LIMIT_SECS = 420


def _load() -> ModuleType:
    path = Path(__file__).resolve().parents[3] / "scripts/benchmarks/_network.py"
    spec = importlib.util.spec_from_file_location("_network", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


namespaces = _load()


@pytest.fixture
def network() -> Iterator[Any]:
    """Hosts for ``make_cluster(..., hosts=network)``, gone with the test."""
    reason = namespaces.why_not()
    if reason:
        pytest.skip(reason)
    namespaces.remove_forgotten()
    network = namespaces.Network()
    try:
        yield network
    finally:
        network.close()


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    def expire(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"the test takes more than {_LIMIT_SECS} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.alarm(_LIMIT_SECS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
