"""A URL with the interface of ``pathlib.Path``, as far as this project uses it. No TensorFlow until a file is touched.

If TensorFlow serves the scheme, the client is its own, ``tf.io.gfile``: it is installed anyway, it has the credentials
that reading records and writing checkpoints need, and Python and TensorFlow see the same files. Other schemes are those
of fsspec. What was looked at instead:

* ``etils.epath`` knows gs, s3, az and hf only, and hands all of them to TensorFlow once that is installed, which
  serves but the first. ``ram://``, ``errors=`` and ``newline=`` are missing.
* ``universal_pathlib`` reaches gs:// through ``gcsfs``: a second client with its own credentials, cache and twenty
  packages. A client of ours would have to replace its classes, or the registry of fsspec for the whole process.

Object stores promise little, so there is no more here: a file is written whole and appears when it is written; it
cannot be appended to, and ``open`` only reads. :func:`datasets.files.replacing` gives writers a file of this machine.
"""

from __future__ import annotations

import errno
import fnmatch
import functools
import io
import os
import re
import tempfile
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from datasets import fsspec_files, tensorflow_files
from datasets.file_status import FileStatus
from datasets.shown_urls import SCHEME

# A pattern of the scheme of a URL.
_URL = re.compile(rf"(?P<root>{SCHEME}://[^/]*)/?(?P<key>.*)", re.DOTALL)
_BUFFER_BYTES = 1 << 20
_MAGIC = re.compile(r"[*?\[]")
# Keys of an object store may have such parts. Copied to this machine, they would lead out of a folder.
_NO_NAMES = (".", "..")


@dataclass(frozen=True)
class UrlEntry:
    """A file or folder in a folder at a URL, with the methods of ``os.DirEntry`` that need no request."""

    name: str
    is_folder: bool

    def is_dir(self) -> bool:
        return self.is_folder

    def is_file(self) -> bool:
        return not self.is_folder


@functools.total_ordering
class UrlPath:
    """The path of a file or folder at a URL, such as ``gs://bucket/run``.

    It is no ``os.PathLike``: what takes it for a path of this machine fails, instead of making a folder ``gs:``.

    Raises:
      ValueError: ``url`` is no URL.
    """

    def __init__(self, url: str) -> None:
        match = _URL.fullmatch(url)
        if match is None:
            raise ValueError(f"{url!r} is not a URL.")
        self._root = match["root"]
        self._key = PurePosixPath("/") / match["key"].strip("/")

    # Names.

    def __str__(self) -> str:
        return f"{self._root}{self._key}" if self.name else self._root

    def __repr__(self) -> str:
        return f"UrlPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, UrlPath) else NotImplemented

    def __lt__(self, other: UrlPath) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, other: str | os.PathLike[str]) -> UrlPath:
        return UrlPath(f"{self}/{os.fspath(other)}")

    def joinpath(self, *others: str | os.PathLike[str]) -> UrlPath:
        return functools.reduce(UrlPath.__truediv__, others, self)

    @property
    def name(self) -> str:
        return self._key.name

    @property
    def stem(self) -> str:
        return self._key.stem

    @property
    def suffix(self) -> str:
        return self._key.suffix

    @property
    def parent(self) -> UrlPath:
        return UrlPath(f"{self._root}{self._key.parent}")

    @property
    def parents(self) -> tuple[UrlPath, ...]:
        return tuple(UrlPath(f"{self._root}{key}") for key in self._key.parents)

    def with_name(self, name: str) -> UrlPath:
        return self.parent / name

    def with_suffix(self, suffix: str) -> UrlPath:
        return self.with_name(self._key.with_suffix(suffix).name)

    def relative_to(self, other: UrlPath) -> PurePosixPath:
        return PurePosixPath(str(self)).relative_to(str(other))

    def is_absolute(self) -> bool:
        return True

    def absolute(self) -> UrlPath:
        return self

    def resolve(self) -> UrlPath:
        return self

    def expanduser(self) -> UrlPath:
        return self

    @property
    def opens_in_tensorflow(self) -> bool:
        """Whether TensorFlow reads and writes the file."""
        return tensorflow_files.serves(self._root.partition(":")[0].lower())

    @property
    def _client(self) -> types.ModuleType:
        return tensorflow_files if self.opens_in_tensorflow else fsspec_files

    # What is there.

    def stat(self) -> FileStatus:
        found: FileStatus = self._client.status(str(self))
        return found

    def exists(self) -> bool:
        return self._status() is not None

    def is_file(self) -> bool:
        status = self._status()
        return status is not None and not status.is_folder

    def is_dir(self) -> bool:
        return bool(self._client.is_folder(str(self)))

    def iterdir(self) -> Iterator[UrlPath]:
        return (self / name for name in self._client.names(str(self)) if name not in _NO_NAMES)

    def entries(self) -> list[UrlEntry]:
        """Return what lies in the folder, sorted: one request to an object store."""
        found = self._client.entries(str(self))
        return [UrlEntry(name, is_folder) for name, is_folder in found if name not in _NO_NAMES]

    def files(self) -> list[UrlPath]:
        """Return what lies in the folder and is not a folder, sorted: one request to an object store."""
        return [self / entry.name for entry in self.entries() if not entry.is_folder]

    def glob(self, pattern: str) -> Iterator[UrlPath]:
        """Yield the paths below this one that match a relative pattern, in which ``**`` is not supported."""
        own, _, rest = pattern.partition("/")
        if own == "**":
            raise NotImplementedError("** is not supported for URLs")
        for path in self._matching(own):
            if rest:
                yield from path.glob(rest)
            else:
                yield path

    def _matching(self, pattern: str) -> list[UrlPath]:
        if not _MAGIC.search(pattern):
            return [self / pattern] if (self / pattern).exists() else []
        try:
            return [path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _status(self) -> FileStatus | None:
        try:
            return self.stat()
        except FileNotFoundError:
            return None

    # Reading.

    def open(
        self, mode: str = "r", encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> IO[Any]:
        """Open the file to read.

        Raises:
          FileNotFoundError: there is none.
          io.UnsupportedOperation: ``mode`` writes.
        """
        if mode not in ("r", "rt", "rb"):
            raise io.UnsupportedOperation(f"open({mode!r}) of a URL: files at URLs are written whole")
        file = io.BufferedReader(self._client.reader(str(self)), _BUFFER_BYTES)
        return file if mode == "rb" else io.TextIOWrapper(file, encoding or "utf-8", errors, newline)

    def read_bytes(self) -> bytes:
        return bytes(self._client.read(str(self)))

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        return io.TextIOWrapper(io.BytesIO(self.read_bytes()), encoding or "utf-8", errors).read()

    def download(self, target: Path) -> None:
        """Copy the file to this machine."""
        self._client.download(str(self), target)

    # Writing.

    def write_bytes(self, content: bytes) -> None:
        self._client.write(str(self), content)

    def write_text(self, text: str, encoding: str | None = None, newline: str | None = None) -> None:
        self.write_bytes(text.replace("\n", newline or "\n").encode(encoding or "utf-8"))

    def write_copy_of(self, source: Path | UrlPath) -> None:
        """Write what another file holds."""
        if isinstance(source, UrlPath) and not str(source).startswith(f"{self._root}/"):
            with tempfile.TemporaryDirectory(prefix="slim-train-") as folder:
                here = Path(folder, source.name)
                source.download(here)
                self._client.copy(here, str(self))
            return
        self._client.copy(str(source), str(self))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a folder if the file system has folders; object stores have none.

        Raises:
          FileExistsError: it is there, and ``exist_ok`` is False.
        """
        if not exist_ok and self.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))
        self._client.make_folder(str(self))

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            self._client.remove(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_folder(self) -> None:
        """Remove the folder and all that is in it; nothing if there is none."""
        self._client.remove_folder(str(self))

    def rename(self, target: UrlPath) -> UrlPath:
        """Move the file or folder. Object stores move one object after the other: nobody may look meanwhile."""
        if self.is_dir():
            target.mkdir(exist_ok=True)
            for path in self.iterdir():
                path.rename(target / path.name)
            self.remove_folder()
        else:
            self._client.rename(str(self), str(target))
        return target

    replace = rename
