"""Files of class names, numbered or plain. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets import class_names
from datasets.errors import DataError
from datasets.files import replacing
from slim_train.errors import UsageError


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Return the class names of a file, as :func:`datasets.class_names.read_class_names` does.

    Raises:
      UsageError: the file cannot be read, names no class, or its lines are numbered, and not 0, 1, 2, ...
    """
    try:
        return class_names.read_class_names(path)
    except DataError as error:
        raise UsageError(str(error)) from error


def write_class_names(path: Path, names: Sequence[str]) -> None:
    """Write one name per line, as other programs that label images expect, atomically."""
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
