"""What /metrics tells Prometheus. No TensorFlow."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZE_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128)


class Metrics:
    """The numbers of one server, in a registry of its own."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "slim_train_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._latency = Histogram(
            "slim_train_request_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ("route",),
            buckets=_LATENCY_BUCKETS,
            registry=self._registry,
        )
        self._batch_size = Histogram(
            "slim_train_batch_size", "Images in one run.", ("model",), buckets=_SIZE_BUCKETS, registry=self._registry
        )
        self._batch_seconds = Histogram(
            "slim_train_batch_seconds",
            "Seconds of one run.",
            ("model",),
            buckets=_LATENCY_BUCKETS,
            registry=self._registry,
        )
        self._queue = Gauge(
            "slim_train_queue", "Images accepted and not yet answered.", ("model",), registry=self._registry
        )
        self._version = Gauge("slim_train_model_version", "Version that answers.", ("model",), registry=self._registry)

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer. ``route`` is the pattern of the path: a path itself could be anything a client makes up."""
        self._requests.labels(route, status).inc()
        self._latency.labels(route).observe(seconds)

    def batch_observer(self, model: str) -> Callable[[int, float], None]:
        """Return what a batcher of ``model`` tells its runs to."""
        size, seconds = self._batch_size.labels(model), self._batch_seconds.labels(model)

        def observe(images: int, took: float) -> None:
            size.observe(images)
            seconds.observe(took)

        return observe

    def watch_queue(self, model: str, length: Callable[[], float]) -> None:
        """Ask ``length`` for the queue of ``model`` whenever Prometheus asks."""
        self._queue.labels(model).set_function(length)

    def set_version(self, model: str, number: int) -> None:
        """Tell which version answers."""
        self._version.labels(model).set(number)

    def render(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
