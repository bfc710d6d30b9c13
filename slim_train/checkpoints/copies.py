"""Checkpoints that TensorFlow opens: the files themselves, or copies on this machine of files at a URL."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets.process_folder import new_folder, own_folder
from datasets.storage import copy_file, files_in, opens_in_tensorflow, path_of
from slim_train.tf_compat import tf

# Copies that are kept after their last use: a checkpoint is looked at, then restored.
_KEPT = 2
_DATA = re.compile(r"\.data-\d{5}-of-\d{5}")


@contextlib.contextmanager
def opened(prefix: str, with_values: bool = True) -> Iterator[str]:
    """Yield a prefix under which TensorFlow opens a checkpoint for the time of the block.

    Args:
      prefix: of the checkpoint, a path or a URL.
      with_values: whether values are read, and not only names and shapes.

    Raises:
      OSError: the checkpoint cannot be copied.
    """
    if opens_in_tensorflow(prefix) and not _copies.is_own(prefix):
        yield prefix
        return
    with contextlib.ExitStack() as stack:
        copy = stack.enter_context(_copies.copy_of(prefix, fetches=with_values))
        if copy is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=own_folder()))
            copy = _fetch(prefix, Path(folder), with_values=False)
        yield copy


@contextlib.contextmanager
def reader(prefix: str, with_values: bool = True) -> Iterator[Any]:
    """Yield a ``tf.train.NewCheckpointReader``; arguments and errors are those of :func:`opened`, and TensorFlow's."""
    with opened(prefix, with_values) as here:
        yield tf.train.NewCheckpointReader(here)


def shapes(prefix: str) -> dict[str, list[int]]:
    """Return the shapes of the variables of a checkpoint, by name; errors are those of :func:`reader`."""
    with reader(prefix, with_values=False) as opened_reader:
        return dict(opened_reader.get_variable_to_shape_map())


def keep(prefix: str, folder: Path) -> None:
    """Take the files in a folder for the checkpoint ``prefix`` without asking the store, until :func:`disown`.

    The caller is the only one who writes it, and uploads it from there.
    """
    _copies.keep(prefix, folder)


def disown(folder: Path, asks: bool) -> None:
    """Take the copies of :func:`keep` for copies like others: somebody else may replace the checkpoint.

    Args:
      folder: of the checkpoints.
      asks: whether to ask the store for their state; else they are forgotten.
    """
    _copies.disown(folder, asks)


@dataclasses.dataclass
class _Copy:
    folder: Path
    state: tuple[Any, ...] | None  # None: the checkpoint is written by this process
    users: int = 0


class _Copies:
    """Copies in a temporary folder of the process: those in use, and the last :data:`_KEPT`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # not held while the store is asked
        self._by_prefix: dict[str, _Copy] = {}  # the one that was used last at the end
        self._fetching: dict[str, threading.Lock] = {}

    @contextlib.contextmanager
    def copy_of(self, prefix: str, fetches: bool) -> Iterator[str | None]:
        """Yield the prefix of a copy, which stays for the time of the block.

        Args:
          prefix: of the checkpoint.
          fetches: whether to make a copy if there is none; else None is yielded.
        """
        with self._lock:
            fetching = self._fetching.setdefault(prefix, threading.Lock())
        with fetching if fetches else contextlib.nullcontext():
            copy = self._taken(prefix) or (self._fetched(prefix) if fetches else None)
        if copy is None:
            yield None
            return
        try:
            yield str(copy.folder / path_of(prefix).name)
        finally:
            self._release(prefix, copy)

    def is_own(self, prefix: str) -> bool:
        """Return whether the checkpoint is written by this process."""
        with self._lock:
            copy = self._by_prefix.get(prefix)
            return copy is not None and copy.state is None

    def keep(self, prefix: str, folder: Path) -> None:
        with self._lock:
            self._use(prefix, _Copy(folder, None))

    def disown(self, folder: Path, asks: bool) -> None:
        with self._lock:
            own = [(prefix, copy) for prefix, copy in self._by_prefix.items() if copy.state is None]
        for prefix, copy in own:
            if path_of(prefix).parent == folder:
                copy.state = ()  # of no checkpoint
                if asks and not opens_in_tensorflow(prefix):
                    with contextlib.suppress(OSError):
                        copy.state = _state(prefix)

    def _taken(self, prefix: str) -> _Copy | None:
        """Return the copy that there is, in use; None if there is none, or the checkpoint has changed."""
        with self._lock:
            copy = self._by_prefix.get(prefix)
            if copy is None:
                return None
            copy.users += 1
        if copy.state is not None and not _is_as_before(prefix, copy.state):
            self._release(prefix, copy)
            return None
        with self._lock:
            self._use(prefix, copy)
        return copy

    def _fetched(self, prefix: str) -> _Copy:
        state = _state(prefix)
        copy = _Copy(new_folder(), state, users=1)
        try:
            _fetch(prefix, copy.folder)
        except BaseException:
            shutil.rmtree(copy.folder, ignore_errors=True)
            raise
        with self._lock:
            self._use(prefix, copy)
        return copy

    def _release(self, prefix: str, copy: _Copy) -> None:
        with self._lock:
            copy.users -= 1
            if self._by_prefix.get(prefix) is not copy and not copy.users:
                shutil.rmtree(copy.folder, ignore_errors=True)

    def _use(self, prefix: str, copy: _Copy) -> None:
        old = self._by_prefix.pop(prefix, None)
        self._by_prefix[prefix] = copy
        surplus = [*self._by_prefix.items()][:-_KEPT]
        for name, other in [*surplus, *([(prefix, old)] if old and old is not copy else [])]:
            if other is not copy:
                if self._by_prefix.get(name) is other:
                    del self._by_prefix[name]
                if not other.users:
                    shutil.rmtree(other.folder, ignore_errors=True)


_copies = _Copies()


def _is_as_before(prefix: str, state: tuple[Any, ...]) -> bool:
    try:
        return _state(prefix) == state
    except FileNotFoundError:
        return False
    except OSError:  # the store does not answer: the copy is all there is
        return True


def _state(prefix: str) -> tuple[Any, ...]:
    status: Any = _first_file(prefix).stat()
    return status.st_size, status.st_mtime_ns, status.tag


def _first_file(prefix: str) -> Path:
    """Return the index of a checkpoint, or the checkpoint of TensorFlow 1's first format, which is one file."""
    index = path_of(f"{prefix}.index")
    return index if index.is_file() else path_of(prefix)


def _fetch(prefix: str, folder: Path, with_values: bool = True) -> str:
    first = _first_file(prefix)
    files = [first]
    if with_values and first.name != path_of(prefix).name:
        name = path_of(prefix).name
        beside = [file for file in files_in(first.parent) if file.name.startswith(name)]
        files += [file for file in beside if _DATA.fullmatch(file.name[len(name) :])]
    for file in files:
        copy_file(file, folder / file.name)
    return str(folder / path_of(prefix).name)
