"""Functions in users' files: where they are, a digest of their code, and their exceptions. No TensorFlow."""

from __future__ import annotations

import hashlib
import inspect
import traceback
from pathlib import Path
from typing import Any

_LONGEST = 300


def explain(error: BaseException, folder: str | Path) -> str:
    """Return where in the files of ``folder`` an exception arose, and its message: ``nets.py, line 3: ...``.

    Args:
      error: the exception.
      folder: with the user's files. The last line in one of them counts, whatever it called.
    """
    message = " ".join((str(error) or type(error).__name__).split())
    message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    root = Path(folder).resolve()
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _lies_below(frame.filename, root)]
    kind = "" if isinstance(error, ImportError | RuntimeError) else f"{type(error).__name__}: "
    return f"{own[-1].filename}, line {own[-1].lineno}: {kind}{message}" if own else f"{kind}{message}"


def origin_of(function: Any) -> str:
    """Return the file of a function, for listings; else its module."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_filename if code else str(getattr(function, "__module__", "this program"))


def code_digest(function: Any) -> str:
    """Return a hex digest of the file that a function is defined in; of its instructions if there is no such file."""
    code = getattr(inspect.unwrap(getattr(function, "func", function)), "__code__", None)
    try:
        content = Path(origin_of(getattr(function, "func", function))).read_bytes()
    except OSError:
        content = code.co_code + repr(code.co_consts).encode() if code else repr(function).encode()
    return hashlib.sha256(content).hexdigest()


def _lies_below(filename: str, root: Path) -> bool:
    path = Path(filename)
    return path.is_absolute() and "site-packages" not in path.parts and root in path.resolve().parents
