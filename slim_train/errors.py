"""The two kinds of failure a command reports in one line, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A flag, file or value given by the user is wrong. Commands exit with code 2."""


class RunError(RuntimeError):
    """The request was sound and the work failed all the same. Commands exit with code 1."""


def nearest(name: str, valid: Iterable[str], count: int = 3) -> list[str]:
    """The entries of ``valid`` that look most like ``name``, best first; none when nothing is near."""
    return difflib.get_close_matches(name, list(valid), n=count, cutoff=0.6)


def unknown(kind: str, name: str, valid: Iterable[str], listed_by: str = "") -> UsageError:
    """The error for a name that is not one of ``valid``: the nearest names first, then all of them.

    Where there are many, ``listed_by`` is the command that lists them; it stands for the rest when some are near.
    """
    names = sorted(valid)
    near = nearest(name, names)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    if near and listed_by:
        return UsageError(f"Unknown {kind} {name!r}. {guess}{listed_by} lists all {len(names)}.")
    return UsageError(f"Unknown {kind} {name!r}. {guess}Valid: {', '.join(names)}.")
