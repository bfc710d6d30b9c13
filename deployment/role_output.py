"""The output of a job's processes on one screen: whole lines, each with its role in front. No TensorFlow."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console

# Set in the environment of every role: its output gets the role's name in front of each line here.
LINES_HAVE_PREFIXES = "SLIM_TRAIN_LINES_HAVE_PREFIXES"

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
# A line that grows longer than this is written in parts, so that a process without line ends does not fill memory.
_LONGEST_LINE = 1 << 20


def line_prefixes(names: Sequence[str], stream: TextIO) -> dict[str, bytes]:
    """Return what stands in front of each role's lines: ``[ps 0] ``, padded to one width, colored on a terminal."""
    console = Console(file=stream)
    width = max(map(len, names))
    prefixes = {}
    for index, name in enumerate(names):
        with console.capture() as capture:
            console.print(f"[{name}]", style=_COLOURS[index % len(_COLOURS)], markup=False, highlight=False, end="")
        prefixes[name] = (capture.get() + " " * (width - len(name) + 1)).encode()
    return prefixes


class LineWriter:
    """Passes one output of a process on, in whole lines, with ``prefix`` in front of each.

    Args:
      write: called with whole lines.
      prefix: of each line.
    """

    def __init__(self, write: Callable[[bytes], None], prefix: bytes = b"") -> None:
        self._write_lines, self._prefix = write, prefix
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Write the lines that ``data`` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        self._write(lines)

    def end(self) -> None:
        """Write what the process left without a line end."""
        if self._rest:
            rest, self._rest = self._rest, b""
            self._write([rest])

    def _write(self, lines: Sequence[bytes]) -> None:
        if lines:
            self._write_lines(b"".join(self._prefix + line + b"\n" for line in lines))


def write_to(stream: TextIO, lines: bytes) -> None:
    """Write lines to a stream of this process, as bytes: a role may write what is not text, or in another encoding."""
    try:
        stream.buffer.write(lines)
        stream.buffer.flush()
    except OSError as error:
        # Nobody reads it any more, of which SIGPIPE tells the supervisor, or its terminal is closed, of which SIGHUP
        # does. What still comes is thrown away.
        if not is_gone(error):
            raise
        discard(stream)


def is_gone(error: OSError) -> bool:
    """Return whether an output failed because its reader has left or its terminal is closed."""
    return error.errno in (errno.EPIPE, errno.EIO)


def discard(stream: TextIO) -> None:
    """Throw away what is written to a stream from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
