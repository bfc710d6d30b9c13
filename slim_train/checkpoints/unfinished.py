"""Files that a save leaves behind if it fails or is killed. No TensorFlow."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from datasets.storage import path_of
from slim_train.checkpoints.training_folder import PREFIX

# TensorFlow writes under such a name first, and leaves the file there if it cannot finish it.
_TEMPORARY = re.compile(
    rf"({re.escape(PREFIX)}-\d+\.(data-\d+-of-\d+|index)\.tempstate\d+"
    rf"|({re.escape(PREFIX)}-\d+\.meta|checkpoint|graph\.pbtxt)\.tmp[0-9a-f]+)"
)
_DATA = re.compile(rf"({re.escape(PREFIX)}-\d+)\.(data-\d+-of-\d+|meta)")


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files of saves from a training folder; none may be under way. Errors are ignored."""
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            if _TEMPORARY.fullmatch(path.name):
                _remove(path)


def remove_parts_without_index(folder: Path) -> None:
    """Remove data that was uploaded before the index, which was not. No save may be under way. Errors are ignored."""
    with contextlib.suppress(OSError):
        found = {path.name: path for path in folder.iterdir()}
        for name, path in found.items():
            match = _DATA.fullmatch(name)
            # Checkpoints of TensorFlow 1's first format are one file, and have no index.
            if match and f"{match[1]}.index" not in found and match[1] not in found:
                _remove(path)


def remove_parts(prefix: str) -> None:
    """Remove the files of a checkpoint that is incomplete or old. Errors are ignored.

    The index goes first: data without an index is no checkpoint, and is removed by the next training.
    """
    path = path_of(prefix)
    with contextlib.suppress(OSError):
        for part in sorted(path.parent.glob(f"{path.name}.*"), key=lambda part: part.suffix != ".index"):
            _remove(part)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
