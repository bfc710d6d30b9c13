"""Files of class names, numbered or plain. No TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from datasets.files import replacing
from datasets.spec import read_labels
from slim_train.errors import UsageError

_NUMBERED = re.compile(r"\d+:")


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Return the class names of a file with a ``0:angry`` line for each (labels.txt) or a plain name a line (TF-Hub's).

    Raises:
      UsageError: the file cannot be read, or names no class.
      DataError: its lines are numbered, and not 0, 1, 2, ...
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").replace("\r\n", "\n").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the labels file {path}: {error}.") from error
    if lines == [""]:
        raise UsageError(f"The labels file {path} is empty: it must hold one class name per line.")
    return read_labels(path) if all(map(_NUMBERED.match, lines)) else tuple(lines)


def write_class_names(path: Path, names: Sequence[str]) -> None:
    """Write one name per line, as other programs that label images expect, atomically."""
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
