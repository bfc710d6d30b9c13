"""Files that are either whole or absent."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to, which becomes ``path`` at the end of the block; an error leaves nothing.

    The temporary name keeps the suffix, from which writers tell the format.
    """
    # Not the process's number: machines that share the folder may have the same.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename, error.filename2 = str(path), None  # the name that users know
        raise
    finally:
        temporary.unlink(missing_ok=True)
