"""Uploads beside the training: a thread that makes the newest one. No TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from slim_train.errors import RunError

log = logging.getLogger(__name__)

_RETRY_SECS = 15.0
# Between tries once somebody waits for them.
_RETRY_SECS_AT_END = 1.0


class Failure(NamedTuple):
    """Uploads that fail one after another.

    Attributes:
      since: when the first of them began, in seconds of ``time.monotonic``.
      tried_at: when the last of them began.
      reason: why the last of them failed.
    """

    since: float
    tried_at: float
    reason: str


class _Upload(NamedTuple):
    make: Callable[[], None]
    resources: contextlib.ExitStack


class NewestUpload:
    """Makes uploads in a thread, one at a time. A new one replaces the one that waits.

    An upload that fails with an OSError is tried again later, unless a newer one waits. Any other error is final.

    Args:
      name: of the thread.
      say: called in the thread with the reason if an upload fails and the one before did not.
    """

    def __init__(self, name: str, say: Callable[[str], None] = lambda reason: None) -> None:
        self._name, self._say = name, say
        self._changed = threading.Condition()
        self._waiting: _Upload | None = None
        self._waiting_since = 0.0
        self._is_busy = self._is_stopped = False
        self._retry_secs = _RETRY_SECS
        self._failure: Failure | None = None
        self._error: Exception | None = None

    @property
    def failure(self) -> Failure | None:
        """The last try, if it failed."""
        return self._failure

    @property
    def waiting_secs(self) -> float:
        """How long uploads have been waiting for the one before them."""
        return time.monotonic() - self._waiting_since if self._waiting else 0.0

    def check(self) -> None:
        """Raise the error that ended the uploads, if one did."""
        if self._error:
            raise self._error

    def put(self, make: Callable[[], None], resources: contextlib.ExitStack | None = None) -> None:
        """Have an upload made in the thread. After :meth:`stop` it is dropped.

        Args:
          make: makes the upload. It may be called several times.
          resources: closed when the upload is made or dropped.

        Raises:
          RuntimeError: no thread can be started; the upload is dropped.
        """
        upload = _Upload(make, resources or contextlib.ExitStack())
        with self._changed:
            if self._is_stopped:
                dropped: _Upload | None = upload
            else:
                dropped, self._waiting = self._waiting, upload
                if dropped is None:
                    self._waiting_since = time.monotonic()
                if not self._is_busy:
                    self._start(upload)
        if dropped:
            dropped.resources.close()

    def wait(self, secs: float) -> bool:
        """Wait for some seconds at most until nothing is left to upload, and say whether that is so.

        From now on a failed upload is tried again soon.
        """
        with self._changed:
            self._retry_secs = _RETRY_SECS_AT_END
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._is_busy, secs)

    def settle(self, secs: float) -> bool:
        """Wait until all is uploaded, and say whether it is. Begin no more uploads then.

        An upload that fails is given up after ``secs``; with 0 none is waited for.
        """
        ends_at = time.monotonic() + secs
        is_over = self.wait(0)
        while secs and not is_over and not (self._failure and time.monotonic() > ends_at):
            is_over = self.wait(1.0)
        self.stop()
        return is_over and self._failure is None and self._error is None

    def stop(self) -> None:
        """Begin no more uploads."""
        with self._changed:
            self._is_stopped = True
            dropped, self._waiting = self._waiting, None
            self._changed.notify_all()
        if dropped:
            dropped.resources.close()

    def _start(self, upload: _Upload) -> None:
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:  # no more threads: nobody would make it
            self._waiting = None
            upload.resources.close()
            raise
        self._is_busy = True

    def _work(self) -> None:
        while upload := self._next():
            with upload.resources:
                while not self._is_made(upload) and self._is_to_retry():
                    pass

    def _next(self) -> _Upload | None:
        with self._changed:
            upload, self._waiting = self._waiting, None
            if upload is None:
                self._is_busy = False
                self._changed.notify_all()
            return upload

    def _is_made(self, upload: _Upload) -> bool:
        tried_at = time.monotonic()
        try:
            upload.make()
        except OSError as error:
            before, reason = self._failure, error.strerror or str(error)
            self._failure = Failure(before.since if before else tried_at, tried_at, reason)
            if before is None:
                self._say(reason)
            return False
        except Exception as error:  # raised where the training looks
            if not isinstance(error, RunError):  # which the training finds, too: another chief leads
                log.exception("%s: nothing more is uploaded.", self._name)
            self._error = error
            self.stop()
            return False
        self._failure = None
        return True

    def _is_to_retry(self) -> bool:
        """Wait between two tries, and say whether the same upload is to be tried again."""
        failed_at = time.monotonic()
        with self._changed:
            while not self._is_stopped and (left := failed_at + self._retry_secs - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._waiting is None and not self._is_stopped
