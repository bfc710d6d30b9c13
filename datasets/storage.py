"""Where files are: paths of this machine, or URLs of object stores and other file systems. No TensorFlow.

Every path of a user's becomes a path object here, by :func:`path_of`. Nothing else makes one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast
from urllib.parse import unquote

from datasets import fsspec_files, tensorflow_files
from datasets.files import replacing
from datasets.process_folder import own_folder
from datasets.shown_urls import SCHEME, has_credentials
from datasets.shown_urls import shown as shown  # one place for users of paths
from datasets.url_path import UrlEntry, UrlPath

_URL = re.compile(rf"(?P<scheme>{SCHEME})://")
LOCAL = "file"
_FILE_URL = re.compile(r"file://(localhost(?=/))?", re.IGNORECASE)
# Between the entries of a comma-separated list; a comma in a path is no end.
_BEFORE_URL = re.compile(rf",(?={SCHEME}://)")

# What mounts a store as a folder of this machine, by scheme.
_MOUNTS = {
    "gs": "gcsfuse",
    "gcs": "gcsfuse",
    "s3": "mount-s3",
    "s3a": "mount-s3",
    "az": "blobfuse2",
    "abfs": "blobfuse2",
    "hdfs": "hadoop-hdfs-fuse",
}
_ANY_MOUNT = "rclone"


def scheme_of(path: str) -> str:
    """Return the scheme of a URL, in lower case; "" for a path of this machine."""
    match = _URL.match(path)
    return match["scheme"].lower() if match else ""


def local_path(path: str) -> str:
    """Return the path that a ``file://`` URL names; anything else as it is."""
    return unquote(_FILE_URL.sub("", path, count=1)) if scheme_of(path) == LOCAL else path


def local_list(text: str) -> str:
    """Return a path, or a comma-separated list of paths, with the paths that ``file://`` URLs name."""
    return ",".join(map(local_path, _BEFORE_URL.split(text)))


def is_url(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is elsewhere than on this machine."""
    return scheme_of(str(path)) not in ("", LOCAL)


def opens_in_tensorflow(path: str | os.PathLike[str]) -> bool:
    """Return whether TensorFlow reads and writes files at a path or URL; else they are copied and uploaded."""
    return not is_url(path) or tensorflow_files.serves(scheme_of(str(path)))


def fault_of(path: str, takes_urls: bool = False) -> str | None:
    """Return why files at ``path`` cannot be reached, as the end of a sentence; None if they may be.

    Args:
      path: what the user gave.
      takes_urls: whether URLs will do.
    """
    scheme = scheme_of(path)
    if scheme == LOCAL and not local_path(path).startswith("/"):
        return "must be file:///absolute/path."
    if scheme in ("", LOCAL):
        return None
    advice = f"Install {_MOUNTS.get(scheme, _ANY_MOUNT)} and give the folder that it mounts, or copy the files."
    if has_credentials(path):
        return (
            "must not hold a user and password, which logs and config.yaml would show. Clients of stores take them "
            "from the environment."
        )
    if not takes_urls:
        return f"must be a path of this machine: {scheme}:// is not supported here. {advice}"
    if tensorflow_files.serves(scheme) or (install := fsspec_files.missing_package(scheme)) is None:
        return None
    if not install:
        return f"is a URL, and nothing here serves {scheme}://. {advice}"
    return f"is a URL, and {scheme}:// requires a package that is not installed: {install}."


def fault_of_list(text: str, takes_urls: bool = False) -> str | None:
    """Return :func:`fault_of` of a path, or of the first wrong one in a comma-separated list."""
    faults = (fault_of(path, takes_urls) for path in _BEFORE_URL.split(text))
    return next(filter(None, faults), None)


def path_of(path: str | os.PathLike[str]) -> Path:
    """Return the path object of a path or URL.

    That of a URL is a :class:`datasets.url_path.UrlPath`, which has the methods of ``pathlib.Path`` that are used here.
    """
    if isinstance(path, UrlPath):
        return cast(Path, path)
    text = os.fspath(path)
    return cast(Path, UrlPath(text)) if is_url(text) else Path(local_path(text))


def files_in(folder: Path) -> list[Path]:
    """Return what lies in a folder and is not a folder itself, sorted.

    Raises:
      OSError: the folder cannot be listed.
    """
    if isinstance(folder, UrlPath):
        return cast(list[Path], folder.files())
    return sorted(path for path in folder.iterdir() if not path.is_dir())


def entries_in(folder: Path) -> AbstractContextManager[Iterable[os.DirEntry[str] | UrlEntry]]:
    """Open the listing of a folder: what lies in it, in any order, with what is known without a further look.

    Raises:
      OSError: the folder cannot be listed.
    """
    return contextlib.nullcontext(folder.entries()) if isinstance(folder, UrlPath) else os.scandir(folder)


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder and in the folders in it, sorted.

    Raises:
      OSError: a folder at a URL cannot be listed.
    """
    if not isinstance(folder, UrlPath):
        return [path for path in sorted(folder.rglob("*")) if path.is_file()]
    entries = folder.entries()
    below = [path for entry in entries if entry.is_folder for path in files_below(folder / entry.name)]
    return sorted([*below, *(cast(Path, folder / entry.name) for entry in entries if not entry.is_folder)])


def copy_folder(source: Path, target: Path, last: str = "") -> None:
    """Copy the files below a folder, those in its folders before those beside them, and at last those named ``last``.

    Raises:
      OSError: the one cannot be read or the other cannot be written.
    """
    for file in sorted(files_below(source), key=lambda file: (file.name == last, file.parent == source, file)):
        copy = target / file.relative_to(source).as_posix()
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy_file(file, copy)


def copied_here(folder: Path, names: Iterable[str], work_dir: Path) -> Path:
    """Return a folder of this machine that holds some files of a folder: itself, or copies of those that are there.

    Args:
      folder: where the files are.
      names: of the files.
      work_dir: for a folder of copies.

    Raises:
      OSError: a file cannot be copied.
    """
    if not isinstance(folder, UrlPath):
        return folder
    target = work_dir / "copied"
    target.mkdir(exist_ok=True)
    for name in names:
        if (folder / name).exists():
            copy_file(cast(Path, folder / name), target / name)
    return target


@contextlib.contextmanager
def open_to_tensorflow(folder: Path) -> Iterator[Path]:
    """Yield a folder that TensorFlow reads: itself, or for the time of the block a copy on this machine.

    Raises:
      OSError: the folder cannot be copied.
    """
    if opens_in_tensorflow(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(dir=own_folder()) as temporary:
        copy_folder(folder, Path(temporary, folder.name))
        yield Path(temporary, folder.name)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, on this machine or between it and a store; the copy appears whole.

    Raises:
      OSError: the one cannot be read or the other cannot be written.
    """
    if isinstance(target, UrlPath):
        target.write_copy_of(source)
    elif isinstance(source, UrlPath):
        with replacing(target) as temporary:
            source.download(temporary)
    else:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def remove_folder(folder: Path) -> None:
    """Remove a folder and all that is in it; what cannot be removed stays."""
    if isinstance(folder, UrlPath):
        folder.remove_folder()
    else:
        shutil.rmtree(folder, ignore_errors=True)
