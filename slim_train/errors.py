"""The two kinds of failure a command reports in one line, without a traceback."""

from __future__ import annotations

from collections.abc import Iterable


class UsageError(ValueError):
    """A flag, file or value given by the user is wrong. Commands exit with code 2."""


class RunError(RuntimeError):
    """The request was sound and the work failed all the same. Commands exit with code 1."""


def nearest(name: str, valid: Iterable[str], count: int = 3) -> list[str]:
    """Return up to ``count`` entries of ``valid`` that resemble ``name``, best first."""
    from datasets import errors  # not at the top: commands check first that this package is ours

    return errors.nearest(name, valid, count)


def unknown(kind: str, name: str, valid: Iterable[str], listed_by: str = "") -> UsageError:
    """Return the error for a ``name`` that is not one of ``valid``; see :func:`datasets.errors.unknown_name`."""
    from datasets import errors

    return UsageError(errors.unknown_name(kind, name, valid, listed_by=listed_by))
