"""Image files that a flag names. No TensorFlow."""

from __future__ import annotations

from pathlib import Path

from datasets.images import SUFFIXES
from datasets.storage import files_below, path_of
from slim_train.errors import UsageError


def find_images(flag: str, value: str) -> list[Path]:
    """The files that ``value`` names: a file, a folder, a pattern such as ``*.jpg``, or several of them with commas.

    URLs name the same, but for the pattern ``**``.

    Of folders, and of folders in them, the files with the suffix of an image are taken, sorted. A file is there once.

    Raises:
      UsageError: a part names nothing; the message names ``flag``.
    """
    # A name may have a comma in it.
    files = _matching(value) if value else []
    if not files:
        for part in filter(None, map(str.strip, value.split(","))):
            of_part = _matching(part)
            if not of_part:
                raise UsageError(f"--{flag}: there is no image at {part}.")
            files += of_part
    if not files:
        raise UsageError(f"--{flag} names no image.")
    return list(dict.fromkeys(files))


def _matching(name: str) -> list[Path]:
    """The file, the images of the folder, or what the pattern matches; nothing where ``name`` is none of these."""
    try:
        path = path_of(name).expanduser()
        if path.is_dir():
            return [file for file in files_below(path) if file.suffix.lower() in SUFFIXES]
        if path.exists():
            return [path]
        # glob takes a relative pattern only; the last parent of a relative path is the working folder.
        root = path.parents[-1]
        return [file for file in sorted(root.glob(str(path.relative_to(root)))) if file.is_file()]
    except (OSError, ValueError, RuntimeError, IndexError):
        # A list of many files is longer than the name of a file may be; 'a**' is no pattern, and '~nobody' no folder.
        return []
