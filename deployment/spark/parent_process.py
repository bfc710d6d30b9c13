"""A process that imports modules once, and forks: Spark's Python daemon on this machine, and calls. No TensorFlow here.

It serves a socket until its stdin ends, with the process that started it. It leads a process group: Ctrl-C on a
terminal does not reach it. See :mod:`deployment.spark.worker_parent`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import os
import pickle
import select
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from deployment.spark.relay import DAEMON

CALL = b"c"
# A graph is many objects that stay: a search for garbage after every 700 new ones takes a tenth of the time.
_GC_THRESHOLD = 10_000


def main(listener: int, modules: Sequence[str]) -> None:
    """Import modules, then fork a process for each connection.

    Args:
      listener: file descriptor of the socket that listens. Its folder is removed if the process that started this one
        ends without :meth:`deployment.spark.worker_parent.WorkerParent.close`.
      modules: names; none of them may start a thread, which a fork would not have.
    """
    gc.disable()
    for module in modules:
        importlib.import_module(module)
    gc.enable()
    # Searches for garbage in the forks pass over all this, and leave its memory shared.
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])
    with socket.socket(fileno=listener) as server:
        while True:
            ready, _, _ = select.select([0, server.fileno()], [], [])
            if 0 in ready:
                shutil.rmtree(os.path.dirname(server.getsockname()), ignore_errors=True)  # noqa: PTH120
                os.killpg(0, signal.SIGTERM)  # calls too; a daemon has a group and an end of its own
            connection, _ = server.accept()
            _reap()
            if os.fork() == 0:
                try:
                    server.close()
                    _serve(connection)
                except SystemExit:  # the end of Spark's daemon
                    pass
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(0)
            connection.close()


def _reap() -> None:
    """Let the forks that have ended go."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _serve(connection: socket.socket) -> None:
    kind, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as file:
        request = file.read()
    if kind == DAEMON:
        _be_daemon(json.loads(request), descriptors)
    elif kind == CALL:
        answer = _answer(*pickle.loads(request))
        with contextlib.suppress(BrokenPipeError):  # who has called has ended
            connection.sendall(answer)


def _be_daemon(request: dict[str, Any], descriptors: Sequence[int]) -> None:
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.update(request["environment"])
    sys.argv = ["pyspark.daemon", *request["arguments"]]
    from pyspark.daemon import manager

    manager()


def _answer(function: str, arguments: tuple[Any, ...], level: int) -> bytes:
    """Return the result or the error of a call, with what was logged."""
    logged = _Logged()
    logging.basicConfig(level=level, handlers=[logged], force=True)
    module, _, name = function.partition(":")
    result, error, trace = None, None, ""
    try:
        result = getattr(importlib.import_module(module), name)(*arguments)
    except Exception as raised:
        error, trace = raised, traceback.format_exc()
    try:
        return pickle.dumps((result, error, trace, logged.records))
    except Exception:  # whatever pickling raises
        return pickle.dumps((None, RuntimeError(trace or traceback.format_exc()), trace, []))


class _Logged(logging.Handler):
    """Keeps records for another process."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        self.records.append(record)
