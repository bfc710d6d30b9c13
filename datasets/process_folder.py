"""Folders that are locked while their process lives. The next process removes what a killed one left. No TensorFlow."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from datasets.files import own_temporary_folder

_IN_USE = ".in-use-"

_lock = threading.Lock()
# By process, which may be a copy of another, and by the folder for temporary files.
_folders: dict[tuple[int, str], Path] = {}


def own_folder() -> Path:
    """Return the folder for temporary files of this process, which is removed with all that is in it when it ends.

    Raises:
      OSError: the folder cannot be made.
    """
    key = os.getpid(), tempfile.gettempdir()
    with _lock:
        if key not in _folders or not _folders[key].is_dir():
            _folders[key] = _made()
        return _folders[key]


def new_folder() -> Path:
    """Make an empty folder in :func:`own_folder`.

    Raises:
      OSError: the folder cannot be made.
    """
    return Path(tempfile.mkdtemp(dir=own_folder()))


def to_stay(folder: Path) -> Path:
    """Move a folder of :func:`new_folder` to where it outlives the process, and return its new path.

    Raises:
      OSError: it cannot be moved.
    """
    kept = Path(tempfile.mkdtemp(prefix="slim-train-kept-"))
    return folder.rename(kept)


def locked_folder(base: Path) -> tuple[Path, int]:
    """Make a folder in ``base`` that is locked until the file descriptor, which is returned too, is closed.

    Raises:
      OSError: the folder cannot be made or locked.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_IN_USE, dir=base))
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # another process has just taken it for left behind
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process is about to remove it
            os.close(lock)
            continue
        if folder.is_dir():
            return folder, lock
        os.close(lock)


def remove_left_behind(base: Path) -> None:
    """Remove the folders of :func:`locked_folder` whose processes have ended."""
    for folder in base.glob(f"{_IN_USE}*"):
        with _unlocked(folder) as is_left:
            if is_left:
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _unlocked(folder: Path) -> Iterator[bool]:
    """Yield whether no process holds the lock of a folder; it is held for the block then."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(lock)


def _made() -> Path:
    try:
        base = own_temporary_folder(f"slim-train-{os.getuid()}")
        remove_left_behind(base)
        folder, _ = locked_folder(base)  # the lock is held as long as the process lives
    except OSError:  # the name is another user's, or there are no locks
        folder = Path(tempfile.mkdtemp(prefix="slim-train-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
