"""Unpacking tar archives from elsewhere: regular files only, inside the given folder only, of bounded size."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from datasets.errors import DataError
from datasets.storage import copied_here

_MAX_BYTES = 4 << 30
_PADDING_BYTES = 1 << 20


def unpacked(path: Path, work_dir: Path) -> Path:
    """The folder that ``path`` is, or the folder that the tar archive ``path`` holds, unpacked below ``work_dir``.

    Raises:
      DataError: ``path`` is neither, or the archive is damaged.
    """
    if path.is_dir():
        return path
    if not path.exists():
        raise DataError(f"--pic_path={path} does not exist.")
    archive, folder = copied_here(path.parent, [path.name], work_dir) / path.name, work_dir / "unpacked"
    if not tarfile.is_tarfile(archive):
        raise DataError(f"--pic_path={path} is neither a folder nor a whole tar archive.")
    unpack(archive, folder)
    inside = [entry for entry in folder.iterdir() if entry.is_dir()]
    return inside[0] if len(inside) == 1 else folder


def unpack(path: Path, folder: Path) -> None:
    """Unpack the tar archive ``path`` into the new folder ``folder``.

    Raises:
      DataError: the archive is damaged, or no archive at all; some of its files may have been written.
    """
    try:
        with tarfile.open(path) as archive:
            _extract(archive, folder)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"Cannot unpack {path}: {error}.") from error


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    num_bytes = 0
    folder.mkdir()
    for member in archive:
        parts = PurePosixPath(member.name).parts
        if not member.isfile() or ".." in parts:
            continue
        num_bytes += member.size
        if num_bytes > _MAX_BYTES:
            raise tarfile.TarError(f"it holds more than {_MAX_BYTES >> 30} GB")
        target = folder.joinpath(*(part for part in parts if part != "/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        content = archive.extractfile(member)
        assert content is not None  # a regular file
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file)
    # What is left are zeros, and the checksum of the compression, which is compared once all before it has been read.
    assert archive.fileobj is not None
    archive.fileobj.read(_PADDING_BYTES)
