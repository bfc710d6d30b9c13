"""Files that are either whole or absent. No TensorFlow."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from datasets.url_path import UrlPath


def cache_folder() -> Path:
    """Return the folder for what can be made again: $SLIM_TRAIN_CACHE, else slim-train in the user's cache folder."""
    if chosen := os.environ.get("SLIM_TRAIN_CACHE"):
        return Path(chosen)
    return _user_cache() / "slim-train"


def old_cache_folder() -> Path:
    """Return the folder in which downloads were kept before."""
    return _user_cache() / "slim_train"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def own_temporary_folder(name: str) -> Path:
    """Return a folder in the folder for temporary files that only this user can use. It is made if it is missing.

    Raises:
      PermissionError: something else has the name. Another user may have put files there.
      OSError: it cannot be made.
    """
    folder = Path(tempfile.gettempdir(), name)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(errno.EACCES, "It is not a folder that only you can use", str(folder))
    return folder


class Stamp(NamedTuple):
    """What tells one state of an image from another.

    Attributes:
      text: changes with the image.
      bytes_to_read: about how many bytes reading it takes; 0 if unknown.
    """

    text: str
    bytes_to_read: int


def stamp_of(path: str) -> Stamp:
    """Return the size of a file, and text with its size and time of change, or ``missing``."""
    try:
        status = os.stat(path)  # noqa: PTH116 -- called per image
    except OSError:
        return Stamp("missing", 0)
    return Stamp(f"{status.st_size} {status.st_mtime_ns}", status.st_size)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, which is renamed to ``path`` at the end of the block.

    An error removes it, and leaves an older ``path`` as it was. Any number of processes may write the same path: the
    last one wins. The temporary path keeps the suffix, which tells some writers the format. Nothing is synced to the
    disk: :func:`replacing_synced` does that.

    For a URL the temporary path is a file of this machine, which is written to the store as a whole.

    Raises:
      OSError: the file cannot be written. The error names ``path``, not the temporary path.
    """
    if isinstance(path, UrlPath):
        with tempfile.TemporaryDirectory(prefix="slim-train-") as folder:
            yield Path(folder, path.name)
            path.write_copy_of(Path(folder, path.name))
        return
    # Not the process id: machines that share the folder may use the same one.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_synced(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write ``path`` to, as :func:`replacing` does; it is on the disk before it appears.

    Raises:
      OSError: as :func:`replacing` does.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
