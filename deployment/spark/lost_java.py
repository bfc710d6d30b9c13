"""Spark's Java, if its start was interrupted. No TensorFlow."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

# The last word of the command with which pyspark starts Java.
_MARK = b"pyspark-shell"


@contextlib.contextmanager
def ended_if_interrupted(is_connected: Callable[[], bool]) -> Iterator[None]:
    """End the Java that the block was starting when it failed, on Linux.

    Args:
      is_connected: whether pyspark is connected to a Java.

    Java tells pyspark its port by a file, whose folder pyspark removes when it is interrupted. Java then cannot write
    the file, and stays without end. One to which pyspark is connected ends with this process, and serves the next
    session.
    """
    before = set(_java_processes())
    try:
        yield
    except BaseException:
        if is_connected():
            raise
        for process in set(_java_processes()) - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        raise


def _java_processes() -> Iterator[int]:
    """Yield the processes that this one started with the command of pyspark."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and _MARK in (folder / "cmdline").read_bytes().split(b"\0"):
                yield int(folder.name)
        except OSError:  # it has ended
            continue
