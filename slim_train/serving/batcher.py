"""Dynamic batching: requests that come one by one, decoded side by side and run through the net together.

No TensorFlow. Bytes go in and a future comes out. Threads of a pool prepare the bytes; one thread of the batcher's own
takes what is prepared, up to a batch, and runs it. A batch that is not full waits only while other requests are being
prepared, and no longer than the timeout: a lone request passes straight through, and under load batches fill by
themselves while the one before runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from slim_train.serving.errors import busy, check_count

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchLimits:
    """How a batcher batches.

    Attributes:
      max_batch_size: requests in one run.
      timeout: seconds that an incomplete batch waits for requests that are being prepared.
      max_queue: requests that may be accepted and unanswered at one time.
    """

    max_batch_size: int
    timeout: float
    max_queue: int


class Batcher:
    """Answers requests in batches, in the order in which they became ready.

    Args:
      prepare: bytes to one item of a batch; called on threads of ``pool``.
      run: a list of items to as many results; called on one thread, never twice at a time.
      limits: of batches and of the queue.
      pool: where ``prepare`` runs; not shut down here.
      observe: called after every run with the number of its items and the seconds it took.
    """

    def __init__(
        self,
        prepare: Callable[[bytes], Any],
        run: Callable[[list[Any]], Sequence[Any]],
        limits: BatchLimits,
        pool: Executor,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self._prepare, self._run, self._limits, self._pool, self._observe = prepare, run, limits, pool, observe
        self._changed = threading.Condition()
        self._ready: deque[tuple[Any, Future[Any]]] = deque()
        self._preparing = 0
        self._unanswered = 0
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="batcher", daemon=True)
        self._thread.start()

    @property
    def unanswered(self) -> int:
        """Requests that have been accepted and not yet answered."""
        return self._unanswered

    def submit(self, requests: Sequence[bytes]) -> list[Future[Any]]:
        """Accept all of ``requests`` or none.

        Returns:
          a future for each, of its result or of what ``prepare`` or ``run`` raised for it.

        Raises:
          RequestError: 413, more than ever fit into the queue; 503, more than fit into it now.
        """
        assert not self._closed, "submitted to a closed batcher"
        room = self._limits.max_queue
        check_count(len(requests), room)
        with self._changed:
            if self._unanswered + len(requests) > room:
                raise busy("Too many requests are waiting. Try again in a moment.")
            self._unanswered += len(requests)
            self._preparing += len(requests)
        futures: list[Future[Any]] = [Future() for _ in requests]
        for request, future in zip(requests, futures, strict=True):
            self._pool.submit(self._prepare_one, request, future)
        return futures

    def close(self, timeout: float | None = None) -> bool:
        """Answer everything that was accepted, then end.

        Args:
          timeout: seconds after which to give up; what runs then is left to run.

        Returns:
          whether it has ended.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _prepare_one(self, request: bytes, future: Future[Any]) -> None:
        if future.cancelled():
            with self._changed:
                self._preparing -= 1
            self._answer(future)
            return
        try:
            item = self._prepare(request)
        except Exception as error:
            with self._changed:
                self._preparing -= 1
            self._answer(future, error=error)
            return
        with self._changed:
            self._preparing -= 1
            self._ready.append((item, future))
            self._changed.notify_all()

    def _serve(self) -> None:
        while batch := self._next_batch():
            began = time.perf_counter()
            self._run_batch(batch)
            self._observe(len(batch), time.perf_counter() - began)

    def _next_batch(self) -> list[tuple[Any, Future[Any]]]:
        """Wait for a batch; none when the batcher is closed and everything is answered."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or (self._closed and not self._unanswered))
            self._changed.wait_for(
                lambda: len(self._ready) >= self._limits.max_batch_size or not self._preparing, self._limits.timeout
            )
            size = min(len(self._ready), self._limits.max_batch_size)
            return [self._ready.popleft() for _ in range(size)]

    def _run_batch(self, batch: list[tuple[Any, Future[Any]]]) -> None:
        try:
            results = self._run([item for item, _ in batch])
            if len(results) != len(batch):
                raise ValueError(f"the model gave {len(results)} results for {len(batch)} requests")
        except Exception as error:
            if len(batch) == 1:
                log.exception("The model failed on a request.")
                self._answer(batch[0][1], error=error)
                return
            # One of them may be at fault: the others shall not suffer for it.
            for request in batch:
                self._run_batch([request])
            return
        for (_, future), result in zip(batch, results, strict=True):
            self._answer(future, result)

    def _answer(self, future: Future[Any], result: Any = None, error: Exception | None = None) -> None:
        with self._changed:
            self._unanswered -= 1
            self._changed.notify_all()
        # A client that has gone may have cancelled its future.
        if future.set_running_or_notify_cancel():
            future.set_exception(error) if error else future.set_result(result)
