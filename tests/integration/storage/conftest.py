"""Stores on loopback."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def _gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if importlib.util.find_spec("gcp_storage_emulator") is None:
        pytest.skip("gcp-storage-emulator is not installed (extra dev)")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl, which makes the certificates")
    # A process: TensorFlow ends uploads with Python's lock held, and nothing here could answer.
    server = [sys.executable, str(Path(__file__).with_name("gcs_server.py")), str(tmp_path_factory.mktemp("gcs"))]
    with subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        BaseManager.register("store")
        manager = BaseManager(tuple(json.loads(process.stdout.readline())), authkey=b"store")
        manager.connect()
        yield manager.store()  # type: ignore[attr-defined]
        process.kill()


@pytest.fixture
def gcs(_gcs: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The ``Store`` of gcs_server.py, with an empty bucket ``gs://bucket``; clients of this process are led there."""
    _gcs.clear()
    for name in ("no_proxy", "NO_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in _gcs.environment().items():
        monkeypatch.setenv(name, value)
    return _gcs
