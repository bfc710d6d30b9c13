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

from datasets import file_errors


@pytest.fixture(scope="session")
def _gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if importlib.util.find_spec("gcp_storage_emulator") is None:
        pytest.skip("gcp-storage-emulator is not installed (extra dev)")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl, which makes the certificates")
    # A process: TensorFlow ends uploads with Python's lock held, and nothing here could answer.
    yield from _served("gcs_server.py", str(tmp_path_factory.mktemp("gcs")))


@pytest.fixture(scope="session")
def _s3() -> Iterator[Any]:
    for name in ("s3fs", "moto", "flask", "flask_cors"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (extra dev)")
    yield from _served("s3_server.py")


def _served(script: str, *arguments: str) -> Iterator[Any]:
    server = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
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
    return _led_to(_gcs, monkeypatch)


@pytest.fixture
def s3(_s3: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The ``S3Store`` of s3_server.py, with an empty bucket ``s3://bucket``; clients of this process are led there."""
    return _led_to(_s3, monkeypatch)


def _led_to(store: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    store.clear()
    monkeypatch.setattr(file_errors, "_WAITS_SECS", (0.01, 0.01))
    for name in ("no_proxy", "NO_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    return store
