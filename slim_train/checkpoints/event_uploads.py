"""Event files in folders that TensorFlow cannot write: written on this machine, uploaded at times. No TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from datasets.storage import copy_file, files_below, opens_in_tensorflow, path_of

log = logging.getLogger(__name__)

_USUAL_SECS = 600.0


@contextlib.contextmanager
def writable(
    folders: Collection[str], every_secs: float, flush: Callable[[str], None] = lambda folder: None
) -> Iterator[dict[str, str]]:
    """Yield a folder that TensorFlow writes for each of some folders: itself, or a temporary one on this machine.

    What is in a temporary folder is uploaded in the background, and at the end of the block. Files at URLs cannot be
    appended to: an event file goes up as a whole if it has grown. The writers must be closed before the block ends.

    Args:
      folders: paths or URLs.
      every_secs: seconds between uploads; 0 takes 600.
      flush: writes what the writer of a folder that was yielded holds back. Called in another thread.
    """
    with contextlib.ExitStack() as stack:
        here = {folder: folder for folder in folders if opens_in_tensorflow(folder)}
        for folder in set(folders) - here.keys():
            here[folder] = stack.enter_context(tempfile.TemporaryDirectory(prefix="slim-train-"))
            uploads = _Uploads(Path(here[folder]), path_of(folder), flush)
            stack.enter_context(uploads.now_and_then(every_secs or _USUAL_SECS))
        yield here


class _Uploads:
    """The files below a folder of this machine, uploaded when they have changed."""

    def __init__(self, source: Path, target: Path, flush: Callable[[str], None]) -> None:
        self._source, self._target, self._flush = source, target, flush
        self._uploaded: dict[Path, tuple[int, int]] = {}
        self._is_failing = False

    @contextlib.contextmanager
    def now_and_then(self, every_secs: float) -> Iterator[None]:
        """Upload in another thread during the block, and at its end."""
        ended = threading.Event()

        def upload() -> None:
            while not ended.wait(every_secs):
                if any(self._source.glob("events.out.tfevents.*")):
                    self._flush(str(self._source))
                self._run()

        thread = threading.Thread(target=upload, name="event-uploads", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._run()

    def _run(self) -> None:
        """Upload what has changed. A store that does not answer is tried again at the next time."""
        try:
            for file in files_below(self._source):
                status = file.stat()
                state = status.st_size, status.st_mtime_ns
                if self._uploaded.get(file) != state:
                    copy_file(file, self._target / file.relative_to(self._source).as_posix())
                    self._uploaded[file] = state
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                log.warning("Cannot upload event files to %s: %s. Trying again later.", self._target, error.strerror)
            self._is_failing = True
