"""Progress of long work: a bar with rate and time left on a terminal, a line now and then elsewhere. No TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY_SECS = 10.0

log = logging.getLogger(__name__)


class ProgressBar:
    """Shows how much of a piece of work is done.

    Use it as a context manager and call :meth:`update` with the amount done so far::

        with ProgressBar("converting", total=32298, unit="images") as bar:
            bar.update(64)

    On a terminal a bar is drawn on stderr and log lines scroll above it. Elsewhere a plain log line is written at most
    every ten seconds; ``lines=False`` leaves those out, for work that logs by itself.
    """

    def __init__(self, what: str, total: int | None, unit: str, start: int = 0, lines: bool = True) -> None:
        self._what, self._total, self._unit, self._lines = what, total, unit, lines
        self._start = self._done = start
        self._began = self._last_line = time.monotonic()
        self._note = ""
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._handlers: list[logging.Handler] = []

    def __enter__(self) -> ProgressBar:
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task(self._what, total=self._total, completed=self._start, note="")
            self._send_logs_through_console()
            self._bar.start()
        return self

    def update(self, done: int, note: str = "", total: int | None = None) -> None:
        """Say that ``done`` units (of ``total``, where it became known only now) are done. ``note`` follows the bar."""
        self._done, self._note = done, note
        self._total = total if total is not None else self._total
        if self._bar:
            self._bar.update(
                self._task, completed=done, total=self._total, note=note or f"{self.rate():,.0f} {self._unit}/s"
            )
        elif self._lines and time.monotonic() - self._last_line >= _LINE_EVERY_SECS:
            self._last_line = time.monotonic()
            of_total = f" of {self._total:,}" if self._total else ""
            log.info("%s: %s%s %s, %.0f/s %s", self._what, f"{done:,}", of_total, self._unit, self.rate(), note)

    @property
    def is_drawn(self) -> bool:
        """Whether a bar is on the screen."""
        return self._bar is not None

    def time_left(self) -> str:
        """The time left at the rate so far, such as ``1:02:03``; "" where it cannot be known."""
        if not self._total or self._done <= self._start:
            return ""
        return str(timedelta(seconds=round(max(0, self._total - self._done) / self.rate())))

    def rate(self) -> float:
        """Units per second since the start."""
        return (self._done - self._start) / max(time.monotonic() - self._began, 1e-9)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
            logging.getLogger().handlers[:] = self._handlers

    def _send_logs_through_console(self) -> None:
        """While the bar is drawn, log lines must pass through its console, or they would break it."""
        root = logging.getLogger()
        self._handlers = list(root.handlers)
        handler = RichHandler(console=self._console, show_path=False, show_level=False, log_time_format="%H:%M:%S")
        root.handlers[:] = [handler]


class ProgressBars(contextlib.ExitStack):
    """One progress bar after the other: a new one for each new piece of work."""

    _what = ""

    def update(self, what: str, done: int, total: int | None, unit: str) -> None:
        """Say that ``done`` units of ``what`` are done."""
        if what != self._what:
            self.close()
            self._what, self._bar = what, self.enter_context(ProgressBar(what, total, unit, start=done))
        self._bar.update(done)
