"""Functions that take turns, so that what else a machine does slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any


def median_seconds(sides: Sequence[Callable[[], Any]], rounds: int) -> list[tuple[float, ...]]:
    """Return the median seconds and CPU seconds of a call of each side; the first call of each does not count."""
    times: list[list[tuple[float, float]]] = [[] for _ in sides]
    for number in range(-1, rounds):
        for side, seconds in zip(sides, times, strict=True):
            began, began_cpu = time.monotonic(), time.process_time()
            side()
            if number >= 0:
                seconds.append((time.monotonic() - began, time.process_time() - began_cpu))
    return [tuple(map(statistics.median, zip(*seconds, strict=True))) for seconds in times]
