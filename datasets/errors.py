"""The error for data that a user must mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DataError(ValueError):
    """A folder, file or record given by the user is wrong; the message names it and says what to do."""


def unknown(kind: str, name: str, valid: Iterable[str], where: str = "") -> DataError:
    """The error for a ``name`` that is not one of ``valid``: the nearest name first, then all of them."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean {near[0]}?" if near else ""
    listed = ", ".join(names) if names else "none"
    return DataError(f"Unknown {kind} {name!r}{where}.{guess} There are: {listed}.")
