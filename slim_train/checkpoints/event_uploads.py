"""Event files in folders at URLs: written on this machine, uploaded at times. No TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from datasets.changed_files import ChangedFiles
from datasets.process_folder import new_folder, to_stay
from datasets.storage import is_url, path_of

log = logging.getLogger(__name__)

_USUAL_SECS = 600.0
# Between the tries at the end.
_WAITS_SECS = (1.0, 5.0)


@contextlib.contextmanager
def writable(
    folders: Collection[str],
    every_secs: float,
    flush: Callable[[str], None] = lambda folder: None,
    secs_at_end: Callable[[], float] = lambda: 60.0,
    give_up: Callable[[], None] = lambda: None,
) -> Iterator[dict[str, str]]:
    """Yield a folder of this machine that TensorFlow writes for each of some folders: itself, or a temporary one.

    What is in a temporary folder is uploaded in the background, and at the end of the block. Files at URLs cannot be
    appended to: an event file goes up as a whole if it has grown. The writers must be closed before the block ends.
    No error of an upload ends the block or replaces its error. If the last upload fails, the temporary folder is kept,
    and the log names it.

    Args:
      folders: paths or URLs.
      every_secs: seconds between uploads; 0 takes 600.
      flush: writes what the writer of a folder that was yielded holds back. Called in another thread.
      secs_at_end: called at the end of the block: for how long failed uploads are tried again; 0 uploads nothing more.
      give_up: called if the last upload of a folder failed.
    """
    with contextlib.ExitStack() as stack:
        here = {folder: folder for folder in folders if not is_url(folder)}
        for folder in set(folders) - here.keys():
            here[folder] = str(new_folder())
            uploads = _Uploads(Path(here[folder]), path_of(folder), flush, secs_at_end, give_up)
            stack.enter_context(uploads.now_and_then(every_secs or _USUAL_SECS))
        yield here


class _Uploads:
    """The files below a temporary folder, uploaded when they have changed."""

    def __init__(
        self,
        source: Path,
        target: Path,
        flush: Callable[[str], None],
        secs_at_end: Callable[[], float],
        give_up: Callable[[], None],
    ) -> None:
        self._source, self._target, self._flush = source, target, flush
        self._secs_at_end, self._give_up = secs_at_end, give_up
        self._files = ChangedFiles(source, target)
        self._is_failing = False

    @contextlib.contextmanager
    def now_and_then(self, every_secs: float) -> Iterator[None]:
        """Upload in another thread during the block, and at its end."""
        ended = threading.Event()

        def upload() -> None:
            while not ended.wait(every_secs):
                reason = self._fault(flushed=True)
                if reason and not self._is_failing:
                    log.warning("Cannot upload event files to %s: %s. Trying again later.", self._target, reason)
                self._is_failing = bool(reason)

        thread = threading.Thread(target=upload, name="event-uploads", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            self._finish(thread)

    def _finish(self, thread: threading.Thread) -> None:
        """Upload what is left, and remove the folder."""
        secs, reason = self._secs_at_end(), "the command ends without waiting for the store"
        ends_at = time.monotonic() + secs
        if secs:
            thread.join()
            if not self._is_failing or time.monotonic() < ends_at:
                reason = self._fault()
        for wait_secs in _WAITS_SECS:
            if not reason or not secs or time.monotonic() + wait_secs > ends_at:
                break
            time.sleep(wait_secs)
            reason = self._fault()
        if reason:
            self._give_up()
            log.error(
                "Cannot upload event files to %s: %s. Events since the last upload are missing there. All are kept in "
                "%s: copy them to the URL.", self._target, reason, to_stay(self._source),
            )  # fmt: skip
        else:
            shutil.rmtree(self._source, ignore_errors=True)

    def _fault(self, flushed: bool = False) -> str:
        """Upload what has changed; return why that failed, or ""."""
        try:
            if flushed and any(self._source.glob("events.out.tfevents.*")):
                self._flush(str(self._source))
            self._files.upload()
        except Exception as error:  # of a writer or of the client of a store: training must not end over its events
            log.debug("No upload of event files:", exc_info=True)
            return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        return ""
