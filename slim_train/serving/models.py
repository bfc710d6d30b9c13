"""The models of a server: loaded, warmed up, and replaced by newer versions while requests go on."""

from __future__ import annotations

import logging
import reprlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from deployment.threads import available_cpus
from slim_train.errors import UsageError, nearest
from slim_train.serving.batcher import Batcher, BatchLimits
from slim_train.serving.errors import RequestError, busy, check_count
from slim_train.serving.options import BatchOptions
from slim_train.serving.request_metrics import Metrics
from slim_train.serving.servable import Servable
from slim_train.serving.sources import Found, Source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """One version of a model, ready to answer.

    Attributes:
      number: as the folder is called, or counted from 1.
      servable: the loaded model.
      batcher: what requests are submitted to.
      found: the files it was loaded from.
    """

    number: int
    servable: Servable
    batcher: Batcher
    found: Found


class Model:
    """A model by its name: one version that answers, and at times a newer one that is being loaded.

    Args:
      source: where versions come from.
      limits: of batches and of the queue.
      pool: threads that decode.
      metrics: counts batches and versions.
    """

    def __init__(self, source: Source, limits: BatchLimits, pool: ThreadPoolExecutor, metrics: Metrics) -> None:
        self.name = source.name
        self.failure: str | None = None
        self._source, self._limits, self._pool, self._metrics = source, limits, pool, metrics
        self._current: Version | None = None
        self._swapping = threading.Lock()
        self._last_seen: Found | None = None
        self._refused: Found | None = None
        metrics.watch_queue(self.name, lambda: self._current.batcher.unanswered if self._current else 0)

    @property
    def current(self) -> Version:
        """The version that answers now.

        Raises:
          RequestError: 503, none is loaded yet.
        """
        version = self._current
        if version is None:
            raise busy(f"Model {self.name} is being loaded. Try again in a moment.")
        return version

    @property
    def is_ready(self) -> bool:
        """Whether a version is loaded and warm."""
        return self._current is not None

    def check_count(self, images: int) -> None:
        """Check the number of images of a request; RequestError 413 if :meth:`submit` would never take as many."""
        check_count(images, self._limits.max_queue)

    def submit(self, images: Sequence[bytes]) -> tuple[Version, list[Future[Any]]]:
        """Hand requests to the version that answers now.

        Raises:
          RequestError: 503, not loaded or the queue is full; 413, more images than the queue ever holds.
        """
        with self._swapping:  # A version that is being replaced gets nothing any more, and answers what it has.
            version = self.current
            return version, version.batcher.submit(images)

    def load(self) -> None:
        """Load the newest version.

        Raises:
          UsageError: there is none that can be served.
          RunError: a checkpoint does not fit its net.
        """
        self._replace(self._source.find())

    def refresh(self) -> None:
        """Load the files that are there now if they are new and have not changed since the last look.

        A version that does not load is logged, and the old one goes on answering.
        """
        found = self._source.find()
        settled, self._last_seen = found == self._last_seen, found
        if not settled or found == self.current.found or found == self._refused or not found.fingerprint:
            return
        try:
            self._replace(found)
            self.failure = None
        except Exception as error:
            self._refused = found
            self.failure = f"{found.path} cannot be served: {error}"
            log.exception("%s: the new version cannot be served; version %d goes on.", self.name, self.current.number)

    def close(self, timeout: float | None = None) -> bool:
        """Answer what was accepted within ``timeout`` seconds, and release the model; False if that was too short."""
        return self._current is None or self._retire(self._current, timeout)

    def _replace(self, found: Found) -> None:
        began = time.perf_counter()
        servable = self._source.load(found)
        try:
            servable.warm_up(self._limits.max_batch_size)
        except BaseException:
            servable.close()
            raise
        batcher = Batcher(
            servable.prepare, servable.run, self._limits, self._pool, self._metrics.batch_observer(self.name)
        )
        number = found.number
        if number is None:
            number = self._current.number + 1 if self._current else 1
        with self._swapping:
            old, self._current = self._current, Version(number, servable, batcher, found)
        self._metrics.set_version(self.name, number)
        seconds = time.perf_counter() - began
        log.info("Model %s: version %d of %s is ready, after %.1f s.", self.name, number, found.path, seconds)
        if old:
            self._retire(old)

    def _retire(self, version: Version, timeout: float | None = None) -> bool:
        if not version.batcher.close(timeout):
            log.warning("Model %s: version %d still runs; it is left alone.", self.name, version.number)
            return False
        version.servable.close()
        return True


class ModelStore:
    """All models of a server, by name; the first is the one that is meant if none is named.

    Args:
      sources: one for each model.
      options: of batching.
      metrics: counts batches and versions.

    Raises:
      UsageError: no model, or two of one name.
    """

    def __init__(self, sources: Sequence[Source], options: BatchOptions, metrics: Metrics) -> None:
        if not sources:
            raise UsageError("Nothing to serve: --model_dir or --conf is required.")
        names = [source.name for source in sources]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"Two models are called {name!r}: name one of them, as in --model_dir=NAME=FOLDER.")
        self._pool = ThreadPoolExecutor(options.decode_threads or available_cpus(), "decode")
        limits = BatchLimits(options.max_batch_size, options.batch_timeout_ms / 1000, options.max_queue)
        self._models = {source.name: Model(source, limits, self._pool, metrics) for source in sources}
        self._stopping = threading.Event()

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    @property
    def is_ready(self) -> bool:
        """Whether every model has a version that answers, and the server is not about to stop."""
        return all(model.is_ready for model in self) and not self._stopping.is_set()

    def get(self, name: str | None = None) -> Model:
        """Return the model called ``name``; the first one for None.

        Raises:
          RequestError: 404, there is none; the message lists those there are.
        """
        if name is None:
            return next(iter(self))
        if name not in self._models:
            near = nearest(name, self._models, count=1)
            guess = f" Did you mean {near[0]}?" if near else ""
            raise RequestError(
                404, f"There is no model {reprlib.repr(name)}.{guess} Models: {', '.join(self._models)}."
            )
        return self._models[name]

    def load(self) -> None:
        """Load every model, in turn, until the store stops.

        Raises:
          UsageError, RunError: one cannot be served.
        """
        for model in self:
            if self._stopping.is_set():
                return
            model.load()

    def watch(self, seconds: float) -> None:
        """Look for new versions at intervals until the store stops; what prevents it is logged once."""
        failing: set[str] = set()
        while not self._stopping.wait(seconds):
            for model in self:
                try:
                    model.refresh()
                # A folder that is being moved, or a drive or store that is away for a while.
                except Exception as error:
                    if model.name not in failing:
                        log.warning("Model %s: cannot look for new versions (%s); goes on trying.", model.name, error)
                        log.debug("Where it happened:", exc_info=True)
                    failing.add(model.name)
                    continue
                if model.name in failing:
                    log.info("Model %s: looks for new versions again.", model.name)
                    failing.discard(model.name)

    def stop(self) -> None:
        """Be ready no more; requests are still answered."""
        self._stopping.set()

    def close(self, timeout: float | None = None) -> bool:
        """Answer what was accepted within ``timeout`` seconds, and release all models; False if that was too short."""
        self.stop()
        deadline = None if timeout is None else time.monotonic() + timeout
        ended = [model.close(None if deadline is None else max(0.0, deadline - time.monotonic())) for model in self]
        self._pool.shutdown(wait=all(ended), cancel_futures=True)
        return all(ended)
