"""Signals for the time of a block: who comes after finds the handlers as they were. No TensorFlow."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(numbers: Iterable[int], receive: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have ``receive`` called for these signals while inside.

    Only the main thread can: in another one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, receive) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
