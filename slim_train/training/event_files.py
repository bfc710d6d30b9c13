"""Event files for TensorBoard in a folder that cannot be written for a while."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

_REOPEN_SECS = 15.0
_SILENT_SECS = 600.0
_TENSORFLOWS_THREAD = "EventLoggerThread"


class _PatientWriter:
    """An event writer that drops events while they cannot be written, and then opens its file again.

    TensorFlow's own raises its error in the middle of a step, once, and writes nothing afterwards.

    Args:
      writer: of TensorFlow.
      folder: of the event file, for messages.
    """

    def __init__(self, writer: Any, folder: str) -> None:
        self._writer, self._folder = writer, folder
        self._is_failing = False
        self._failed_at = -math.inf

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def add_event(self, event: Any) -> None:
        """See the base class of TensorFlow."""
        self._try(lambda: self._writer.add_event(event))

    def flush(self) -> None:
        """See the base class of TensorFlow."""
        self._try(self._writer.flush)

    def close(self) -> None:
        """See the base class of TensorFlow."""
        self._try(self._writer.close)

    def _try(self, call: Callable[[], None]) -> None:
        if self._is_failing:
            if time.monotonic() - self._failed_at < _REOPEN_SECS:
                return
            self._writer.reopen()
        try:
            call()
            self._is_failing = False
        except Exception as error:  # Of a class that depends on the reason.
            now = time.monotonic()
            # An event that was accepted may still fail: it is written later.
            if now - self._failed_at > _SILENT_SECS:
                reason = str(error).partition("\n")[0].rpartition("; ")[2]
                log.warning("Events for TensorBoard are missing from %s: %s.", self._folder, reason)
            self._is_failing, self._failed_at = True, now


def flush(folder: str) -> None:
    """Write what the event writer of this process for a folder holds back."""
    tf.summary.FileWriterCache.get(folder).flush()


@contextlib.contextmanager
def patient(folders: Iterable[str]) -> Iterator[None]:
    """For the time of a block, the event files of this process in ``folders`` survive failures to write."""
    for folder in folders:
        writer = tf.summary.FileWriterCache.get(folder)
        writer.event_writer = _PatientWriter(writer.event_writer, folder)
    previous = threading.excepthook

    def without_those_of_event_files(args: threading.ExceptHookArgs) -> None:
        # TensorFlow's thread raises and logs what the writer raises as well.
        if args.thread is None or args.thread.name != _TENSORFLOWS_THREAD:
            previous(args)

    def is_about_something_else(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("EventFileWriter writer thread error")

    threading.excepthook = without_those_of_event_files
    tensorflows = logging.getLogger("tensorflow")
    tensorflows.addFilter(is_about_something_else)
    try:
        yield
    finally:
        threading.excepthook = previous
        tensorflows.removeFilter(is_about_something_else)
