"""Files of the stores that fsspec reaches, as the few operations that :mod:`datasets.url_path` needs. No TensorFlow.

TensorFlow cannot open these files. What it reads is copied to this machine, and what it writes is uploaded as a whole.
fsspec is imported by the first operation. It asks the store each time: other machines write there, too.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import importlib
import importlib.util
import io
import logging
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets.file_errors import BusyStore, ExpiredToken, asking_again
from datasets.file_status import FileStatus
from datasets.shown_urls import shown

# Folders of an object store are parts of names, and its files appear when they are written in full.
_OBJECT_STORES = ("s3", "s3a", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "r2", "tos")
# What to install, by scheme; the name of the module tells whether it is there.
_PACKAGES = {
    "s3": ("s3fs", "'slim-train[s3]'"),
    "s3a": ("s3fs", "'slim-train[s3]'"),
    "gcs": ("gcsfs", "'slim-train[gcs]'"),
    "az": ("adlfs", "adlfs"),
    "abfs": ("adlfs", "adlfs"),
    "abfss": ("adlfs", "adlfs"),
    "hdfs": ("pyarrow", "fsspec pyarrow"),
    "oci": ("ocifs", "ocifs"),
    "oss": ("ossfs", "ossfs"),
    "http": ("aiohttp", "fsspec aiohttp"),
    "https": ("aiohttp", "fsspec aiohttp"),
}
_S3 = ("s3", "s3a")
# An operation tries five times, and each may wait so long for the next byte: less than a minute. botocore would try
# five times for each of them.
_S3_CONFIG: dict[str, Any] = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 1}}
# Loggers that say where credentials were found.
_CHATTY = ("aiobotocore", "botocore", "google.auth", "azure")
# Names of the text that changes with a file, and of the time of its last change, by store.
_TAGS = ("ETag", "etag", "md5Hash", "content_md5", "crc32c", "generation", "checksum")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


_clients: set[Any] = set()
# Of SlowDown and ServiceUnavailable, and of InternalError.
_BUSY = (errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EBUSY))
# In the errors of all clients.
_EXPIRED = re.compile(r"expired|\b401\b|unauthorized", re.IGNORECASE)


def _forget_clients() -> None:
    """Make new clients from now on, which look for credentials again."""
    for kind in list(_clients):
        kind.clear_instance_cache()


def missing_package(scheme: str) -> str | None:
    """Return how to install what serves a scheme; "" if nothing does; None if it is installed."""
    module, package = _PACKAGES.get(scheme, ("fsspec", "fsspec"))
    if any(importlib.util.find_spec(name) is None for name in ("fsspec", module)):
        return f"pip install {package}"
    try:
        importlib.import_module("fsspec").get_filesystem_class(scheme)
    except ImportError as error:
        return str(error).rstrip(".")
    except ValueError:
        return ""
    return None


@asking_again(_forget_clients)
def status(url: str) -> FileStatus:
    """Return the status of a file or a folder.

    Raises:
      FileNotFoundError: there is neither.
    """
    files, path = _at(url)
    with _as_os_errors(url):
        return _status(files.info(path))


@asking_again(_forget_clients)
def is_folder(url: str) -> bool:
    """Return whether there are files below ``url``; of a file system with folders, whether it is one."""
    try:
        with _existing(url) as (files, path):
            return bool(files.isdir(path))
    except FileNotFoundError:
        return False


def names(url: str) -> list[str]:
    """Return the names of the files and folders in a folder, sorted."""
    return [name for name, _ in entries(url)]


@asking_again(_forget_clients)
def entries(url: str) -> list[tuple[str, bool]]:
    """Return what is in a folder, sorted: names, and whether they are folders. One request to an object store."""
    with _existing(url) as (files, path):
        found = files.ls(path, detail=True)
    own = path.strip("/")
    listed = ((str(entry["name"]).strip("/"), entry["type"] == "directory") for entry in found)
    return sorted({(name.rpartition("/")[2], is_any) for name, is_any in listed if name != own})


@asking_again(_forget_clients)
def reader(url: str) -> io.RawIOBase:
    """Open a file."""
    with _existing(url) as (files, path):
        return _Reader(url, files.open(path, "rb"))


@asking_again(_forget_clients)
def read(url: str) -> bytes:
    """Return what a file holds, in one request."""
    with _existing(url) as (files, path):
        if _scheme(url) not in _S3:
            return bytes(files.cat_file(path))
        # Its cat_file tries to open a file 25 times, which takes minutes if the store does not answer.
        with tempfile.NamedTemporaryFile(prefix="slim-train-") as here:
            files.get_file(path, here.name, max_concurrency=1)
            return here.read()


@asking_again(_forget_clients)
def write(url: str, content: bytes) -> None:
    """Write a file, which appears whole."""
    with _as_os_errors(url), _whole(url) as (files, path):
        files.pipe_file(path, content, **_upload_options(url, len(content)))


@asking_again(_forget_clients)
def copy(source: str | Path, target: str) -> None:
    """Copy a file, from this machine or within the store; the copy appears whole."""
    if "://" not in str(source):
        with _as_os_errors(target), _whole(target) as (files, path):
            files.put_file(os.fspath(source), path, **_upload_options(target, Path(source).stat().st_size))
        return
    with _as_os_errors(str(source)), _whole(target) as (files, path):
        _copy(files, _at(str(source))[1], path)


@asking_again(_forget_clients)
def download(url: str, target: Path) -> None:
    """Copy a file to this machine."""
    with _existing(url) as (files, path):
        files.get_file(path, os.fspath(target))


@asking_again(_forget_clients)
def rename(source: str, target: str) -> None:
    """Rename a file: object stores copy and delete it."""
    with _existing(source) as (files, path):
        _move(files, path, _at(target)[1], _is_object_store(source))


@asking_again(_forget_clients)
def remove(url: str) -> None:
    """Remove a file."""
    with _existing(url) as (files, path):
        if _is_object_store(url):
            files.info(path)  # deleting what is not there is no error to a store
        files.rm_file(path)


@asking_again(_forget_clients)
def remove_folder(url: str) -> None:
    """Remove a folder and all that is in it; nothing if it does not exist."""
    with contextlib.suppress(FileNotFoundError), _existing(url) as (files, path):
        # Not rm(recursive=True), to which brackets in a name are a pattern.
        found = files.find(path, withdirs=True, detail=True)
        folders = {name for name, entry in found.items() if entry["type"] == "directory"}
        for name in found.keys() - folders:
            files.rm_file(name)
        if not _is_object_store(url):
            for folder in sorted({*folders, path}, reverse=True):
                with contextlib.suppress(FileNotFoundError):
                    files.rmdir(folder)


def make_folder(url: str) -> None:
    """Make a folder and those above it, if the file system has folders."""
    if not _is_object_store(url):
        files, path = _at(url)
        with _as_os_errors(url), contextlib.suppress(NotImplementedError):
            files.makedirs(path, exist_ok=True)


class _Reader(io.RawIOBase):
    """A file of fsspec as an unbuffered file of Python, whose errors are those of ``OSError``."""

    def __init__(self, url: str, file: Any) -> None:
        self._url, self._file = url, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _as_os_errors(self._url):
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _is_object_store(url: str) -> bool:
    return _scheme(url) in _OBJECT_STORES


def _at(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it. fsspec keeps one for each process."""
    with _as_os_errors(url):
        files, path = _fsspec().url_to_fs(url, use_listings_cache=False, **_options(_scheme(url)))
    _clients.add(type(files))
    if _scheme(url) in _S3:
        _without_expect(files)
    return files, path


def _options(scheme: str) -> dict[str, Any]:
    """Return the options of a client; what the user's configuration of fsspec says of timeouts and retries counts."""
    if scheme not in _S3:
        return {}
    configured = importlib.import_module("fsspec.config").conf.get(scheme, {})
    return {"config_kwargs": {**_S3_CONFIG, **configured.get("config_kwargs", {})}}


def _upload_secs(num_bytes: int) -> float:
    return 60 + num_bytes / 128_000


def _upload_options(url: str, num_bytes: int) -> dict[str, Any]:
    """Return how long an upload may take: read_timeout does not count while a store does not take what is sent."""
    return {"timeout": _upload_secs(num_bytes)} if _scheme(url) in _S3 else {}


def _without_expect(files: Any) -> None:
    """Let a new client of s3 send files at once: aiohttp waits for the answer to "Expect: 100-continue" for ever."""
    if files.session is None:
        files.session = importlib.import_module("aiobotocore.session").AioSession()
        handler = importlib.import_module("botocore.handlers").add_expect_header
        files.session.unregister("before-call.s3", handler)


def _copy(files: Any, source: str, target: str) -> None:
    """Copy a file within a file system, by way of this machine if it has no such operation, as ftp."""
    try:
        files.cp_file(source, target)
    except NotImplementedError:
        with tempfile.NamedTemporaryFile(prefix="slim-train-") as here:
            files.get_file(source, here.name)
            files.put_file(here.name, target)


def _move(files: Any, source: str, target: str, is_object_store: bool) -> None:
    """Rename a file. The mv that file systems inherit, and some stores call, takes brackets in a name for a pattern."""
    if is_object_store or type(files).mv is importlib.import_module("fsspec").AbstractFileSystem.mv:
        _copy(files, source, target)
        files.rm_file(source)
    else:
        files.mv(source, target)


@functools.cache
def _fsspec() -> Any:
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    return importlib.import_module("fsspec.core")


@contextlib.contextmanager
def _whole(url: str) -> Iterator[tuple[Any, str]]:
    """Yield where to write a file so that it appears whole: file systems with folders rename a temporary file."""
    files, path = _at(url)
    if _is_object_store(url):
        yield files, path
        return
    folder, _, name = path.rpartition("/")
    with contextlib.suppress(NotImplementedError):
        files.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/.{name}.{secrets.token_hex(4)}"
    try:
        yield files, temporary
        _move(files, temporary, path, is_object_store=False)
    except BaseException:
        with contextlib.suppress(Exception):
            files.rm_file(temporary)
        raise


def _status(found: dict[str, Any]) -> FileStatus:
    changed = next((found[name] for name in _TIMES if found.get(name)), None)
    if isinstance(changed, datetime.datetime):
        changed = changed.timestamp()
    elif isinstance(changed, str):
        changed = datetime.datetime.fromisoformat(changed).timestamp()
    tag = next((str(found[name]).strip('"') for name in _TAGS if found.get(name)), "")
    nanoseconds = round((changed or 0) * 1e9)
    return FileStatus(int(found.get("size") or 0), nanoseconds, found["type"] == "directory", tag)


@contextlib.contextmanager
def _as_os_errors(url: str) -> Iterator[None]:
    """Raise the errors of fsspec and of its clients in the block as those that Python raises for files."""
    try:
        yield
    except Exception as error:  # each client has its own classes
        raise _os_error(error, url) from error


@contextlib.contextmanager
def _existing(url: str) -> Iterator[tuple[Any, str]]:
    """Yield file system and path of a file that is to be there: clients have errors of their own for one that is not.

    Raises:
      FileNotFoundError: it is not.
      OSError: something else failed in the block.
    """
    files, path = _at(url)
    try:
        with _as_os_errors(url):
            yield files, path
    except OSError as error:
        # Clients of object stores have the usual ones, and a silent store would be asked five times more.
        is_unknown = type(error) is OSError and error.errno == errno.EIO and not _is_object_store(url)
        if is_unknown and not _is_there(files, path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), shown(url)) from error
        raise


def _is_there(files: Any, path: str) -> bool:
    try:
        files.info(path)
    except FileNotFoundError:
        return False
    except Exception:  # each client has its own classes
        return True
    return True


def _os_error(error: Exception, url: str) -> OSError:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return error
    url = shown(url)
    text = shown(" ".join(str(error).split()).rstrip(".")) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        is_bucket = "bucket does not exist" in text.lower()
        return FileNotFoundError(errno.ENOENT, text if is_bucket else os.strerror(errno.ENOENT), url)
    if isinstance(error, PermissionError) and _EXPIRED.search(f"{error} {error.__cause__}"):
        return ExpiredToken(errno.EACCES, text, url)
    if isinstance(error, PermissionError):
        return PermissionError(errno.EACCES, text, url)
    if isinstance(error, OSError) and error.errno in _BUSY:
        return BusyStore(error.errno, error.strerror or text, url)
    if type(error).__module__ == "builtins" and isinstance(error, OSError):  # those of clients are made otherwise
        return type(error)(error.errno or errno.EIO, error.strerror or text, url)
    return OSError(errno.EIO, text, url)
