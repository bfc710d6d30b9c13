"""Spark's Java, if its start was interrupted. No TensorFlow."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path

# The last word of the command with which pyspark starts Java.
_MARK = b"pyspark-shell"
# The function of pyspark that starts Java and connects to it.
_STARTS = "launch_gateway"


@contextlib.contextmanager
def ended_if_interrupted() -> Iterator[None]:
    """End the Java that pyspark was starting in the block when it failed, on Linux.

    Java tells pyspark its port by a file, whose folder pyspark removes when it is interrupted. Java then cannot write
    the file, and stays without end. One to which pyspark is connected ends with this process, and serves the next
    session.
    """
    before = set(_java_processes())
    try:
        yield
    except BaseException as error:
        if any(frame.f_code.co_name == _STARTS for frame, _ in traceback.walk_tb(error.__traceback__)):
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
