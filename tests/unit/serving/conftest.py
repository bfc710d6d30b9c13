"""A server's application without a server: a model that takes no time, and what it is told over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="serving is not installed: pip install .[serve]")
pytest.importorskip("prometheus_client", reason="serving is not installed: pip install .[serve]")
pytest.importorskip("httpx", reason="needed to talk to an application")

from fastapi.testclient import TestClient

from slim_train.serving.app import create_app
from slim_train.serving.errors import RequestError
from slim_train.serving.models import ModelStore
from slim_train.serving.options import BatchOptions
from slim_train.serving.request_metrics import Metrics
from slim_train.serving.sources import Found

LABELS = ("cat", "dog", "hot_dog")


class FirstBytes:
    """A servable whose scores depend on the first byte of a request: ``c``, ``d`` or ``h`` make a class likely."""

    labels: tuple[str, ...] | None = LABELS

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Event()
        self.warmed = self.closed = False
        self.batches: list[int] = []

    def prepare(self, data: bytes) -> int:
        if data[:1] not in (b"c", b"d", b"h", b"!"):
            raise RequestError(400, "The image cannot be read: not an image.")
        return data[0]

    def run(self, batch: list[int]) -> Sequence[Any]:
        assert not self.closed
        self.batches.append(len(batch))
        self.running.set()
        assert self.gate.wait(60)
        if ord("!") in batch:
            raise RuntimeError("the model is broken")
        return [
            np.where(np.array([99, 100, 104]) == first, 0.7, [0.1, 0.2, 0.25]).astype(np.float32) for first in batch
        ]

    def warm_up(self, max_batch_size: int) -> None:
        self.warmed = True

    def describe(self) -> dict[str, Any]:
        return {"net": "first_bytes", "labels": self.labels}

    def close(self) -> None:
        self.closed = True


class FixedSource:
    """A source of one servable."""

    def __init__(self, name: str, servable: FirstBytes) -> None:
        self.name, self.servable = name, servable

    def find(self) -> Found:
        return Found(Path(self.name), 3, ((self.name, 0, 0),))

    def load(self, found: Found) -> FirstBytes:
        return self.servable


class Served:
    """An application, its models, and a client of it."""

    def __init__(self, sources: list[FixedSource], load: bool, limits: dict[str, Any], options: dict[str, Any]) -> None:
        metrics = Metrics()
        self.servable = sources[0].servable
        self.store = ModelStore(sources, BatchOptions(**limits), metrics)
        if load:
            self.store.load()
        app = create_app(self.store, metrics, **{"top_k": 2, "max_body_bytes": 10_000, **options})
        self.client = TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """``serve(names=("pets",), load=True, limits={}, servable=FirstBytes, **options of create_app)``."""
    stores = []

    def make(
        names: Sequence[str] = ("pets",),
        load: bool = True,
        limits: dict[str, Any] | None = None,
        servable: Callable[[], Any] = FirstBytes,
        **options: Any,
    ) -> Served:
        served = Served([FixedSource(name, servable()) for name in names], load, limits or {}, options)
        stores.append(served.store)
        return served

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def client(serve: Callable[..., Served]) -> TestClient:
    """A client of an application with one model, pets."""
    return serve().client
