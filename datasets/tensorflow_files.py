"""Files of the file systems that TensorFlow has built in, as the few operations that :mod:`datasets.url_path` needs.

TensorFlow is imported by the first operation.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets.file_errors import ExpiredToken, asking_again
from datasets.file_status import FileStatus

# Folders of an object store are parts of names: making one would only leave an empty object.
_OBJECT_STORES = ("gs://",)
# What TensorFlow has built in since 2.16, beside files of this machine.
_BUILT_IN = ("gs", "ram")


def serves(scheme: str) -> bool:
    """Return whether TensorFlow opens the files of a scheme: by itself, or by a plug-in that was imported."""
    if scheme in _BUILT_IN:
        return True
    return "tensorflow" in sys.modules and scheme in _gfile().get_registered_schemes()


@asking_again()
def status(url: str) -> FileStatus:
    """Return the status of a file or a folder.

    Raises:
      FileNotFoundError: there is neither.
    """
    with _as_os_errors(url):
        found = _gfile().stat(url)
    if found.is_directory and not is_folder(url):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)
    return FileStatus(found.length, found.mtime_nsec, found.is_directory)


@asking_again()
def is_folder(url: str) -> bool:
    """Return whether there are files below ``url``."""
    with _as_os_errors(url):
        is_any = _gfile().isdir(url)
        if not is_any or url.startswith(_OBJECT_STORES):
            return is_any
        # ram:// takes the start of a name for a folder, too.
        parent, _, name = url.rpartition("/")
        return bool(_gfile().glob(f"{url}/*")) or name in _gfile().listdir(parent)


@asking_again()
def names(url: str) -> list[str]:
    """Return the names of the files and folders in a folder, sorted."""
    with _as_os_errors(url):
        return sorted(name for found in _gfile().listdir(url) if (name := found.strip("/")))


@asking_again()
def entries(url: str) -> list[tuple[str, bool]]:
    """Return what is in a folder, sorted: names, and whether they are folders. One request to an object store."""
    if url.startswith(_OBJECT_STORES):  # these mark what is a folder
        with _as_os_errors(url):
            found = _gfile().listdir(url)
        return sorted((name.strip("/"), name.endswith("/")) for name in found if name.strip("/"))
    return [(name, is_folder(f"{url}/{name}")) for name in names(url)]


@asking_again()
def reader(url: str) -> io.RawIOBase:
    """Open a file."""
    return _Reader(url)


def read(url: str) -> bytes:
    """Return what a file holds."""
    with reader(url) as file:
        return file.read()


@asking_again()
def write(url: str, content: bytes) -> None:
    """Write a file, which appears whole."""
    with _as_os_errors(url):
        _make_way(url)
        with _gfile().GFile(url, "wb") as file:
            file.write(content)


@asking_again()
def copy(source: str | Path, target: str) -> None:
    """Copy a file, from this machine or from another URL; the copy appears whole."""
    with _as_os_errors(target, os.fspath(source)):
        _make_way(target)
        _gfile().copy(os.fspath(source), target, overwrite=True)


@asking_again()
def download(url: str, target: Path) -> None:
    """Copy a file to this machine."""
    with _as_os_errors(url):
        _gfile().copy(url, os.fspath(target), overwrite=True)


@asking_again()
def rename(source: str, target: str) -> None:
    """Rename a file: object stores copy and delete it."""
    with _as_os_errors(source):
        _gfile().rename(source, target, overwrite=True)


@asking_again()
def remove(url: str) -> None:
    """Remove a file."""
    with _as_os_errors(url):
        _gfile().remove(url)


@asking_again()
def remove_folder(url: str) -> None:
    """Remove a folder and all that is in it; nothing if it does not exist."""
    with _as_os_errors(url):
        if _gfile().isdir(url):
            _gfile().rmtree(url)


def make_folder(url: str) -> None:
    """Make a folder and those above it, if the file system has folders."""
    if not url.startswith(_OBJECT_STORES):
        with _as_os_errors(url):
            _gfile().makedirs(url)


class _Reader(io.RawIOBase):
    """A ``tf.io.gfile.GFile`` as an unbuffered file of Python, which ``io`` can wrap."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._file = _gfile().GFile(url, "rb")
        self._ahead = self._read(1)  # opens it: only reading does
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._ahead or self._read(len(buffer))
        self._ahead = b""
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: 0}[whence]
        with _as_os_errors(self._url):
            if whence == os.SEEK_END:
                start = self._file.size()
            self._position = start + offset
            self._file.seek(self._position)
        self._ahead = b""
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _read(self, count: int) -> bytes:
        with _as_os_errors(self._url):
            return self._file.read(count)


@functools.cache
def _tensorflow() -> Any:
    # Read when TensorFlow is first imported: what its C++ writes by itself is no message for users.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return importlib.import_module("tensorflow")


def _gfile() -> Any:
    return _tensorflow().io.gfile


def _make_way(url: str) -> None:
    """Make the folder of a file that is about to be written, and remove the old file: ram:// would write behind it."""
    if url.startswith(_OBJECT_STORES):
        return
    _gfile().makedirs(url.rpartition("/")[0])
    if _gfile().exists(url) and not _gfile().isdir(url):
        _gfile().remove(url)


@contextlib.contextmanager
def _as_os_errors(url: str, source: str = "") -> Iterator[None]:
    """Raise TensorFlow's errors in the block as those that Python raises for files of this machine.

    They name ``url``, or ``source``, which is read meanwhile, if it is the one that TensorFlow names.
    """
    try:
        yield
    except _tensorflow().errors.OpError as error:
        raise _os_error(error, source if source and source in error.message else url) from error


def _os_error(error: Any, url: str) -> OSError:
    errors = _tensorflow().errors
    if isinstance(error, errors.NotFoundError):
        is_bucket = "bucket" in error.message and "does not exist" in error.message
        return FileNotFoundError(
            errno.ENOENT, "The bucket does not exist" if is_bucket else os.strerror(errno.ENOENT), url
        )
    if isinstance(error, errors.UnauthenticatedError) or "response code 401" in error.message:
        return ExpiredToken(errno.EACCES, _first_line(error), url)
    if isinstance(error, errors.PermissionDeniedError):
        return PermissionError(errno.EACCES, _first_line(error), url)
    return OSError(errno.EIO, _first_line(error), url)


def _first_line(error: Any) -> str:
    return error.message.strip().splitlines()[0].rstrip(".") if error.message.strip() else type(error).__name__
