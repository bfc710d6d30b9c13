"""Record files of slow stores, copied to this machine when they are first used. No TensorFlow."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.errors import DataError
from datasets.files import own_temporary_folder
from datasets.process_folder import locked_folder, remove_left_behind
from datasets.storage import copy_file, opens_in_tensorflow, path_of

log = logging.getLogger(__name__)

_PARTIAL = ".partial-"
_SUFFIX = ".copy"
_TRIES = 5
_FIRST_WAIT_SECS = 1.0


@dataclass(frozen=True)
class CopySettings:
    """Which records are copied, and where to.

    Attributes:
      folder: of the copies, which outlive the process and serve others. None: only records that TensorFlow cannot open
        are copied, to a temporary folder.
      max_bytes: size of all copies. Files that are being read may exceed it.
    """

    folder: str | None = None
    max_bytes: int = 10 * 10**9

    def applies_to(self, path: str) -> bool:
        """Return whether the file at a path or URL is copied before it is read."""
        return self.folder is not None or not opens_in_tensorflow(path)


class RecordCopies:
    """Copies of record files, for one reader of them.

    A copy appears under its name when it is complete, so any number of processes share a folder. Its name changes with
    the size, the time and the ETag of the file. A reader gets a second name for a copy, in a folder of its process:
    what others remove stays readable. Folders of processes that have ended are removed by the next one.

    Args:
      settings: where the copies are, and how large they may get.

    Raises:
      DataError: the folder cannot be written.
    """

    def __init__(self, settings: CopySettings) -> None:
        self._max_bytes = settings.max_bytes
        base = path_of(settings.folder or tempfile.gettempdir()).absolute()
        try:
            if settings.folder:
                base.mkdir(parents=True, exist_ok=True)
            else:
                base = self._temporary_folder()
            remove_left_behind(base)
            self._own, lock = locked_folder(base)
            self._open = self._own / "open"
            self._open.mkdir()
        except OSError as error:
            flag = (
                f"--cache_dir={base} cannot" if settings.folder else f"The folder for temporary files, {base}, cannot"
            )
            raise DataError(f"{flag} be written: {error.strerror}.") from error
        self._shared = base if settings.folder else self._own
        self._copied: dict[str, Path] = {}
        self._lock = threading.Lock()
        self._copying: dict[str, threading.Lock] = {}
        weakref.finalize(self, _close, self._own, lock)

    def _temporary_folder(self) -> Path:
        name = f"slim-train-records-{os.getuid()}"
        try:
            return own_temporary_folder(name)
        except PermissionError:  # another user's
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            return folder

    def fetch(self, path: str) -> str:
        """Return the path of a copy of the file at ``path``, another each time; it stays until it is released.

        Raises:
          DataError: it cannot be copied.
        """
        with self._lock:
            copying = self._copying.setdefault(path, threading.Lock())
        with copying:
            for is_last in (False, True):
                copy = self._copied.get(path) or self._copy(path)
                own = self._open / f"{secrets.token_hex(4)}-{copy.name}"
                try:
                    _link(copy, own)
                    break
                except FileNotFoundError:  # removed by another process, or to make room
                    self._copied.pop(path, None)
                    if is_last:
                        raise DataError(f"Cannot copy {path}: the copy in {self._shared} was removed.") from None
                except OSError as error:
                    own.unlink(missing_ok=True)
                    raise DataError(f"Cannot copy {copy} to {own}: {error.strerror}.") from error
        with self._lock:
            self._copied[path] = copy
        return str(own)

    def release(self, copy: str) -> None:
        """Remove a path that :meth:`fetch` returned."""
        (self._open / path_of(copy).name).unlink(missing_ok=True)

    def _copy(self, path: str) -> Path:
        for wait_secs in [*(_FIRST_WAIT_SECS * 2**number for number in range(_TRIES - 1)), None]:
            try:
                return self._copy_once(path)
            except (FileNotFoundError, PermissionError) as error:
                raise DataError(f"Cannot copy {path}: {error.strerror}.") from error
            except OSError as error:
                if wait_secs is None:
                    raise DataError(f"Cannot copy {path} to {self._shared}: {error.strerror}.") from error
                if wait_secs == _FIRST_WAIT_SECS:
                    log.warning("Cannot copy %s: %s. Trying again.", path, error.strerror)
                time.sleep(wait_secs)
        raise AssertionError

    def _copy_once(self, path: str) -> Path:
        source = path_of(path)
        status: Any = source.stat()
        state = f"{path} {status.st_size} {status.st_mtime_ns} {getattr(status, 'tag', '')}"
        digest = hashlib.sha256(state.encode()).hexdigest()[:16]
        target = self._shared / f"{source.name}-{digest}{_SUFFIX}"
        with contextlib.suppress(FileNotFoundError):
            if target.stat().st_size == status.st_size:
                return target
        with self._lock:
            self._make_room(status.st_size)
        partial = self._own / f"{_PARTIAL}{target.name}"
        try:
            copy_file(source, partial)
            size = partial.stat().st_size
            if size != status.st_size:
                raise OSError(None, f"{size:,} bytes came, and the file has {status.st_size:,}", path)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def _make_room(self, size: int) -> None:
        copies = []
        for copy in self._shared.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                status = copy.stat()
                copies.append((status.st_mtime_ns, status.st_size, copy))
        surplus = sum(bytes_ for _, bytes_, _ in copies) + size - self._max_bytes
        for _, bytes_, copy in sorted(copies):
            if surplus <= 0:
                return
            with contextlib.suppress(PermissionError):  # another user's
                copy.unlink(missing_ok=True)
                surplus -= bytes_


def _link(copy: Path, own: Path) -> None:
    """Give a copy a second name, or copy it: file systems may have no hard links, or none of another user's files."""
    try:
        os.link(copy, own)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(copy, own)
    with contextlib.suppress(OSError):
        os.utime(copy)  # those that were not used for the longest time go first


def _close(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
