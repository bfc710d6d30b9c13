"""A progress bar in the output of a notebook's cell. No TensorFlow; IPython only where it runs already."""

from __future__ import annotations

import sys
import threading
import time
from html import escape

_SECS_BETWEEN_UPDATES = 0.25
_SECS_UNTIL_SHOWN = 0.3  # shorter work shows nothing

# The bars of this thread, outermost first, and IPython's handle of their one place in the output.
_bars = threading.local()


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A bar that becomes one line of text when the work is done; a bar inside of another one leaves nothing.

    Args:
      what: the work.
      unit: what is counted.
      total: how much there is, or None.
      start: how much is done already.
    """

    def __init__(self, what: str, unit: str, total: int | None, start: int = 0) -> None:
        self._what, self._unit, self._total, self._done = what, unit, total, start
        self._note = ""
        self._began = time.monotonic()
        self._shown = 0.0

    def start(self) -> None:
        """Begin; the bar appears when the work has taken a moment."""
        self._stack().append(self)
        if not _SECS_UNTIL_SHOWN:
            self.draw()

    def update(self, done: int, total: int | None, note: str) -> None:
        """Show that ``done`` of ``total`` is done, a few times a second at most."""
        self._done, self._total, self._note = done, total, note
        if time.monotonic() - self._shown >= _SECS_BETWEEN_UPDATES:
            self.draw()

    def draw(self) -> None:
        """Show the bar as it is now."""
        self._show(self._as_bar())

    def stop(self) -> None:
        """Replace the bar by a line that says what was done, or by the bar around it."""
        stack = self._stack()
        if self in stack:
            stack.remove(self)
        if stack:
            stack[-1].draw()
        elif _bars.place is not None:
            took = f"{self._count()} in {time.monotonic() - self._began:.1f} s"
            self._show(f'<span style="opacity:.65">{escape(f"{self._what}: {took}")}</span>')
            _bars.place = None

    def _stack(self) -> list[NotebookBar]:
        if not hasattr(_bars, "stack"):
            _bars.stack, _bars.place = [], None
        return _bars.stack

    def _count(self) -> str:
        of_total = f" of {self._total:,}" if self._total and self._total != self._done else ""
        return f"{self._done:,}{of_total} {self._unit}"

    def _as_bar(self) -> str:
        extent = f' value="{self._done}" max="{self._total}"' if self._total else ""
        text = escape(f"{self._what}: {self._count()} {self._note}")
        return f'<progress style="width:14em;vertical-align:middle"{extent}></progress> <span>{text}</span>'

    def _show(self, html: str) -> None:
        self._shown = time.monotonic()
        bundle = {"text/html": html, "text/plain": f"{self._what}: {self._count()}"}
        if _bars.place is not None:
            _bars.place.update(bundle, raw=True)
        elif self._shown - self._began >= _SECS_UNTIL_SHOWN:
            from IPython.display import display

            _bars.place = display(bundle, raw=True, display_id=True)
