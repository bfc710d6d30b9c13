"""A job at a glance, below the output of its tasks on a terminal. No TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deployment.cluster_status import ClusterStatus, TaskState, in_words
from deployment.role_output import discard, is_gone, write_to

_EVERY_SECS = 0.5
# On a narrower terminal addresses, which are all of this machine, have no place.
_WIDTH_WITH_ADDRESSES = 100
_STYLES = {
    "training": "green",
    "serving": "green",
    "finished": "green",
    "saving": "cyan",
    "evaluating": "cyan",
    "waiting": "yellow",
    "restarting": "yellow",
    "stopped": "yellow",
    "lost": "bold red",
    "failed": "bold red",
}


def draw(tasks: Sequence[TaskState], max_restarts: int, width: int) -> RenderableType:
    """Return a table with a line for each task, for a terminal of ``width`` columns."""
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("task", no_wrap=True)
    if width >= _WIDTH_WITH_ADDRESSES:
        table.add_column("address", no_wrap=True, style="dim")
    table.add_column("state", no_wrap=True, overflow="ellipsis", max_width=26)
    table.add_column("step", no_wrap=True, justify="right")
    table.add_column("steps/s", no_wrap=True, justify="right")
    table.add_column("last warning", no_wrap=True, overflow="ellipsis", ratio=1, style="yellow")
    for task in tasks:
        cells = [
            Text(task.name),
            *([Text(task.address or "")] if width >= _WIDTH_WITH_ADDRESSES else []),
            Text(in_words(task, max_restarts), style=_STYLES.get(task.state, "")),
            Text("" if task.step is None else f"{task.step:,}"),
            Text("" if task.steps_per_second is None else f"{task.steps_per_second:,.1f}"),
            Text(task.warning or ""),
        ]
        table.add_row(*cells)
    table.caption = _summary(tasks)
    table.caption_justify = "left"
    return table


def _summary(tasks: Sequence[TaskState]) -> str | None:
    """What the task says of the whole job that has come farthest."""
    training = [task for task in tasks if task.step is not None]
    if not training:
        return None
    farthest = max(training, key=lambda task: task.step or 0)
    of_last = f" of {farthest.last_step:,}" if farthest.last_step else ""
    rate = f", {farthest.images_per_second:,.0f} images/s" if farthest.images_per_second is not None else ""
    return f"all tasks: step {farthest.step:,}{of_last}{rate}"


def can_draw() -> bool:
    """Return whether stderr is a terminal on which lines can be drawn again."""
    return Console(stderr=True).is_terminal and not Console(stderr=True).is_dumb_terminal and sys.stderr.isatty()


class Dashboard:
    """Draws the state of a job on stderr, a terminal, while entered as a context.

    What is written meanwhile must go through :meth:`write`: it scrolls above the table.
    """

    def __init__(self, status: ClusterStatus) -> None:
        self._console, self._status = Console(stderr=True), status
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._drawn_at = 0.0
        self._logs = _LogsAbove(self)
        self._handlers: list[logging.Handler] = []

    def __enter__(self) -> Dashboard:
        root = logging.getLogger()
        self._handlers = list(root.handlers)
        for handler in self._handlers:
            self._logs.setFormatter(handler.formatter)
        root.handlers[:] = [self._logs]
        self._live.start()
        self.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        self._draw()
        with self._terminal():
            self._live.stop()
        logging.getLogger().handlers[:] = self._handlers

    def write(self, stream: TextIO, lines: bytes) -> None:
        """Write whole lines above the table; elsewhere, if ``stream`` is not the terminal."""
        if not stream.isatty():
            write_to(stream, lines)
            return
        text = Text.from_ansi(lines.decode(errors="replace").rstrip("\n"))
        with self._terminal():
            self._console.print(text, soft_wrap=True, highlight=False)

    def refresh(self) -> None:
        """Draw the table as it is now, some times a second at most."""
        if time.monotonic() - self._drawn_at > _EVERY_SECS:
            self._draw()

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        table = draw(self._status.tasks(), self._status.max_restarts, self._console.width)
        with self._terminal():
            self._live.update(table, refresh=True)

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[None]:
        """Around what is written to the terminal: if that is closed, nothing more is shown, and the job goes on."""
        try:
            yield
        except OSError as error:
            if not is_gone(error):
                raise
            discard(sys.stderr)


class _LogsAbove(logging.Handler):
    """Writes log lines above a dashboard."""

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__()
        self._dashboard = dashboard

    def emit(self, record: logging.LogRecord) -> None:
        self._dashboard.write(sys.stderr, f"{self.format(record)}\n".encode())
