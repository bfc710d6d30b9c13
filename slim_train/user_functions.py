"""Functions in users' files: where they are, what they take, and their exceptions. No TensorFlow."""

from __future__ import annotations

import contextlib
import functools
import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LONGEST = 300


def explain(error: BaseException, folder: str | Path | None) -> str:
    """Return where in the files of ``folder`` an exception arose, and its message: ``nets.py, line 3: ...``.

    Args:
      error: the exception.
      folder: with the user's files, if there are any. The last line in one of them counts, whatever it called.
    """
    frames = traceback.extract_tb(error.__traceback__)
    unsaid = f"{type(error).__name__} in {frames[-1].name}" if frames else type(error).__name__
    # An assertion without a message is its own message.
    asserted = frames[-1].line if frames and isinstance(error, AssertionError) else ""
    message = " ".join((str(error) or asserted or unsaid).split())
    message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    own = [frame for frame in frames if folder is not None and _lies_below(frame.filename, Path(folder).resolve())]
    kind = "" if isinstance(error, ImportError | RuntimeError) else f"{type(error).__name__}: "
    return f"{own[-1].filename}, line {own[-1].lineno}: {kind}{message}" if own else f"{kind}{message}"


def origin_of(value: Any) -> str:
    """Return the file that defines a function or class, or its module if it comes from no file."""
    return source_file(value) or getattr(value, "__module__", None) or type(value).__module__


def source_file(value: Any) -> str | None:
    """Return the file that defines a function, a class, or the class of a callable object; None for a notebook's."""
    value = inspect.unwrap(value.func if isinstance(value, functools.partial) else value)
    for candidate in (value, type(value)):
        with contextlib.suppress(TypeError, OSError):
            path = inspect.getsourcefile(candidate)
            return path if path and Path(path).is_file() else None
    return None


def takes(function: Callable[..., Any], keyword: str) -> bool:
    """Return whether a function has a parameter of that name."""
    try:
        return keyword in inspect.signature(function).parameters
    except (TypeError, ValueError):  # of C code
        return False


def _lies_below(filename: str, root: Path) -> bool:
    path = Path(filename)
    return path.is_absolute() and "site-packages" not in path.parts and root in path.resolve().parents
