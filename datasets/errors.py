"""The error for data that a user must correct, and the message for a name that does not exist. No TensorFlow."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DataError(ValueError):
    """A folder, file or record given by the user is wrong; the message names it and says what to do."""


def nearest(name: str, valid: Iterable[str], count: int = 3) -> list[str]:
    """Return up to ``count`` entries of ``valid`` that resemble ``name``, best first."""
    return difflib.get_close_matches(name, list(valid), n=count, cutoff=0.6)


def unknown_name(kind: str, name: str, valid: Iterable[str], where: str = "", listed_by: str = "") -> str:
    """Return the error message for a ``name`` that is not one of ``valid``: the nearest, then all of them.

    Args:
      kind: what the name is of, such as ``net``.
      name: the unknown name.
      valid: the names that exist.
      where: text after the name, such as ``" in data/pets"``.
      listed_by: the command that lists ``valid`` if that is long. The message names it, and up to three near names,
        instead of all.
    """
    names = sorted(valid)
    near = nearest(name, names, count=3 if listed_by else 1)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    if near and listed_by:
        return f"Unknown {kind} {name!r}{where}. {guess}{listed_by} lists all {len(names)}."
    return f"Unknown {kind} {name!r}{where}. {guess}Valid: {', '.join(names) or 'none'}."
