"""Folders in the user's cache that are made of a file, once for each content of it."""

from __future__ import annotations

import errno
import hashlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from datasets.files import cache_folder
from datasets.storage import copy_file, is_url

_CHUNK = 1 << 20


def made_folder(
    kind: str, name: str, path: Path, make: Callable[[Path, Path], None], others: Iterable[Path] = (), version: str = ""
) -> Path:
    """Return the folder that is made of a file. Several processes may make it at the same time.

    Args:
      kind: folder in the user's cache.
      name: first part of the name of the folder.
      path: the file; it may be a URL.
      make: gets a copy of the file on this machine and the path of the folder, which it makes.
      others: files beside it that the result depends on, if they exist.
      version: changed if ``make`` makes something else than before.

    Raises:
      OSError: the file cannot be read, or the cache cannot be written.
    """
    parent = cache_folder() / kind
    if not is_url(path):
        return _made(parent, name, path, make, [path, *others], version)
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=parent) as work_dir:
        here = Path(work_dir, path.name)
        copy_file(path, here)
        return _made(parent, name, here, make, [here, *others], version)


def _made(
    parent: Path, name: str, here: Path, make: Callable[[Path, Path], None], files: list[Path], version: str
) -> Path:
    home = parent / f"{name}-{_digest(files, version)}"
    if home.is_dir():
        return home
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=parent) as work_dir:
        folder = Path(work_dir, "made")
        make(here, folder)
        try:
            folder.replace(home)
        except OSError as error:  # Another process was faster, with the same content.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not home.is_dir():
                raise
    return home


def _digest(files: Iterable[Path], version: str) -> str:
    total = hashlib.sha256(version.encode())
    for path in files:
        digest = hashlib.sha256()
        if path.is_file():
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        total.update(digest.digest())
    return total.hexdigest()[:16]
