"""Progress of long work: a bar on a terminal or in a notebook, a log line now and then elsewhere. No TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from slim_train.notebook_progress import NotebookBar, in_notebook

_LINE_EVERY_SECS = 10.0

log = logging.getLogger(__name__)


class ProgressBar:
    """Shows how much of a piece of work is done.

    Use it as a context manager and call :meth:`update` with the amount done so far::

        with ProgressBar("converting", total=32298, unit="images") as bar:
            bar.update(64)

    On a terminal a bar is drawn on stderr and log lines scroll above it. In a notebook it is drawn in the output of the
    cell. Elsewhere a plain log line is written at most
    every ten seconds; ``lines=False`` leaves those out, for work that logs by itself.
    """

    def __init__(self, what: str, total: int | None, unit: str, start: int = 0, lines: bool = True) -> None:
        self._what, self._total, self._unit, self._lines = what, total, unit, lines
        self._start = self._done = start
        self._began = self._last_line = time.monotonic()
        self._note = ""
        self._bar: _TerminalBar | NotebookBar | None = None

    def __enter__(self) -> ProgressBar:
        if in_notebook():
            self._bar = NotebookBar(self._what, self._unit, self._total, self._start)
        elif sys.stderr.isatty():
            self._bar = _TerminalBar(self._what, self._total, self._start)
        if self._bar:
            self._bar.start()
        return self

    def update(self, done: int, note: str = "", total: int | None = None) -> None:
        """Say that ``done`` units (of ``total``, where it became known only now) are done. ``note`` follows the bar."""
        self._done, self._note = done, note
        self._total = total if total is not None else self._total
        if self._bar:
            self._bar.update(done, self._total, note or f"{self.rate():,.0f} {self._unit}/s")
        elif self._lines and time.monotonic() - self._last_line >= _LINE_EVERY_SECS:
            self._last_line = time.monotonic()
            of_total = f" of {self._total:,}" if self._total else ""
            log.info("%s: %s%s %s, %.0f/s %s", self._what, f"{done:,}", of_total, self._unit, self.rate(), note)

    @property
    def is_drawn(self) -> bool:
        """Whether a bar is on the screen."""
        return self._bar is not None

    def time_left(self) -> str:
        """Return the time left at the rate so far, such as ``1:02:03``; "" if it cannot be known."""
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


class _TerminalBar:
    """A bar of rich on stderr."""

    def __init__(self, what: str, total: int | None, start: int) -> None:
        self._console = Console(stderr=True)
        columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn()
        self._progress = Progress(TextColumn("{task.description}"), *columns, console=self._console)
        self._task = self._progress.add_task(what, total=total, completed=start, note="")

    def start(self) -> None:
        _LOGS.pass_through(self._console)
        self._progress.start()

    def update(self, done: int, total: int | None, note: str) -> None:
        self._progress.update(self._task, completed=done, total=total, note=note)

    def stop(self) -> None:
        self._progress.stop()
        _LOGS.leave(self._console)


class _LogsAboveBars:
    """While bars are drawn, log lines for the terminal pass through the console of the newest: they would break it.

    Handlers that write elsewhere stay. When the last bar is gone, the handlers are what they were.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._consoles: list[Console] = []
        self._before: list[logging.Handler] = []
        self._handler: RichHandler | None = None

    def pass_through(self, console: Console) -> None:
        """Send log lines through ``console``."""
        with self._lock:
            self._consoles.append(console)
            if self._handler is None:
                root = logging.getLogger()
                self._before = list(root.handlers)
                self._handler = RichHandler(show_path=False, show_level=False, log_time_format="%H:%M:%S")
                others = [handler for handler in self._before if not _writes_to_terminal(handler)]
                root.handlers[:] = [*others, self._handler]
            self._handler.console = console

    def leave(self, console: Console) -> None:
        """End what :meth:`pass_through` began; the second time it does nothing."""
        with self._lock:
            if console not in self._consoles or self._handler is None:
                return
            self._consoles.remove(console)
            if self._consoles:
                self._handler.console = self._consoles[-1]
                return
            root = logging.getLogger()
            added = [one for one in root.handlers if one is not self._handler and one not in self._before]
            root.handlers[:] = [*self._before, *added]
            self._handler = None


def _writes_to_terminal(handler: logging.Handler) -> bool:
    stream = handler.stream if isinstance(handler, logging.StreamHandler) else None
    return stream is not None and hasattr(stream, "isatty") and stream.isatty()


_LOGS = _LogsAboveBars()


class ProgressBars(contextlib.ExitStack):
    """One progress bar after the other: a new one for each new piece of work."""

    _what = ""

    def update(self, what: str, done: int, total: int | None, unit: str) -> None:
        """Say that ``done`` units of ``what`` are done."""
        if what != self._what:
            self.close()
            self._what, self._bar = what, self.enter_context(ProgressBar(what, total, unit, start=done))
        self._bar.update(done)
