"""Files that show where a net looks, one for each image. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from datasets.files import replacing
from datasets.storage import is_url, path_of
from slim_train.errors import UsageError

_MOST_BYTES = 150  # of a name; file systems take 255, and temporary files have longer names
_ENDING = "_heat.jpg"


def heat_folder(value: str) -> Path:
    """Return the folder of --explain_dir, which is made if its parent exists.

    Raises:
      UsageError: it cannot be made, or is a file.
    """
    folder = path_of(value)
    try:
        if not is_url(folder):
            folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"--explain_dir={folder} cannot be made: {error.strerror or error}.") from error
    return folder


def heat_names(files: Sequence[PurePath]) -> list[str]:
    """Return a file name for the heat of each image: its own with ``_heat.jpg``, numbered where names repeat.

    Names that differ in upper and lower case only are numbered too: not every file system tells them apart.
    """
    taken: set[str] = set()
    next_number: dict[str, int] = {}
    names = []
    for file in files:
        stem = _short(file.name)
        number = next_number.get(stem.casefold(), 1)
        while (name := f"{stem}{'' if number == 1 else f'-{number}'}{_ENDING}").casefold() in taken:
            number += 1
        taken.add(name.casefold())
        next_number[stem.casefold()] = number + 1
        names.append(name)
    return names


def write_heat(folder: Path, name: str, data: bytes) -> str:
    """Write an encoded image, whole or not at all, and return its path.

    Raises:
      UsageError: it cannot be written.
    """
    path = folder / name
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise UsageError(f"--explain_dir: {path} cannot be written: {error.strerror or error}.") from error
    return str(path)


def _short(name: str) -> str:
    """Return ``name`` with what terminals and file systems dislike as ``_``, cut to 150 bytes."""
    plain = "".join(char if char.isprintable() and char not in '\\/:*?"<>|' else "_" for char in name)
    return plain.encode("utf-8", "replace")[:_MOST_BYTES].decode("utf-8", "ignore")
