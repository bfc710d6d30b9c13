"""Files of class names, numbered or plain. No TensorFlow."""

from __future__ import annotations

import os
import re

from datasets.errors import DataError
from datasets.spec import read_labels
from datasets.storage import path_of

_NUMBERED = re.compile(r"\d+\s*:")


def read_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the class names of a file with a ``0:angry`` line for each (labels.txt) or a plain name a line (TF-Hub's).

    Raises:
      DataError: the file cannot be read or names no class, or its lines are numbered, and not 0, 1, 2, ...
    """
    try:
        # Not splitlines: a class name may hold one of the rarer line separators.
        text = path_of(path).read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(f"The labels file {path} is not UTF-8 text ({error}). Save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"Cannot read the labels file {path}: {error.strerror}.") from error
    lines = [line.strip() for line in text.rstrip().split("\n")]
    if lines == [""]:
        raise DataError(f"The labels file {path} is empty: it must hold one class name per line.")
    is_numbered = all(_NUMBERED.match(line) for line in lines if line)
    return read_labels(path) if is_numbered else tuple(lines)
