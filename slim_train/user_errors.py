"""An exception in a user's file, as one sentence that names the file and the line. No TensorFlow."""

from __future__ import annotations

import traceback
from pathlib import Path

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


def _lies_below(filename: str, root: Path) -> bool:
    path = Path(filename)
    return path.is_absolute() and "site-packages" not in path.parts and root in path.resolve().parents
