"""Groups of images by their names: all images of a patient, a person or a video. No TensorFlow."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from datasets.duplicates.hamming import Groups
from datasets.errors import DataError

log = logging.getLogger(__name__)

_LONGEST_PATTERN = 1000
_MOST_SECONDS = 60.0
_MOST_NAMED = 3
_SEPARATOR = "\x1f"
# A pattern can take longer than anybody waits, and Python's matcher cannot be interrupted: it has a process of its own.
_MATCHER = """
import json, re, sys
pattern, names = json.load(sys.stdin)
match = re.compile(pattern).fullmatch
json.dump([found and found.groups("") for found in map(match, names)], sys.stdout)
"""


def groups_by_name(names: Sequence[str], pattern: str, most_seconds: float = _MOST_SECONDS) -> dict[str, str]:
    """Return the group of each image whose name matches a regular expression; what its groups match is the group.

    The whole file name has to match, without folders; the whole path if the pattern has a slash. The log names images
    that do not match: each is a group by itself.

    Args:
      names: paths of the images.
      pattern: the regular expression, with one group or more.
      most_seconds: after which matching is given up.

    Raises:
      DataError: the pattern is no regular expression, has no group, takes too long or matches no name.
    """
    flag = f"--group_by={pattern}"
    _check(pattern, flag)
    matched = names if "/" in pattern else [PurePosixPath(name).name for name in names]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _MATCHER],
            input=json.dumps([pattern, matched]),
            capture_output=True,
            text=True,
            timeout=most_seconds,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise DataError(
            f"{flag} takes more than {most_seconds:g} s on {len(names):,} names: remove repeats inside repeats, such "
            "as (a+)+."
        ) from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().rpartition("\n")[2]
        raise DataError(f"{flag} cannot be matched: {reason}.") from None
    found = json.loads(done.stdout)
    groups = {
        name: _SEPARATOR.join(parts)
        for name, parts in zip(names, found, strict=True)
        if parts is not None and any(parts)
    }
    unmatched = [name for name in names if name not in groups]
    if not groups:
        what = "path" if "/" in pattern else "file name"
        raise DataError(f"{flag} matches no {what}; the first is {matched[0]!r}. The whole {what} has to match.")
    if unmatched:
        log.warning(
            "%s does not match %s of %s images, which are groups by themselves: %s%s.",
            flag, f"{len(unmatched):,}", f"{len(names):,}", ", ".join(unmatched[:_MOST_NAMED]),
            ", ..." if len(unmatched) > _MOST_NAMED else "",
        )  # fmt: skip
    return groups


def merged(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """Return groups of which each is as large as the groups of both that have images in common make it.

    Args:
      first: image -> its group.
      second: likewise.
    """
    names = list(dict.fromkeys((*first, *second)))
    number = {name: index for index, name in enumerate(names)}
    joined = Groups(len(names))
    for groups in (first, second):
        first_of: dict[str, int] = {}
        pairs = [(first_of.setdefault(groups[name], number[name]), number[name]) for name in groups]
        joined.join(*np.array(pairs, np.int64).reshape(-1, 2).T)
    keys: dict[int, str] = {}
    roots = joined.roots().tolist()
    for name, root in zip(names, roots, strict=True):
        key = first.get(name) or second[name]
        keys[root] = min(keys.get(root, key), key)
    return {name: keys[root] for name, root in zip(names, roots, strict=True)}


def _check(pattern: str, flag: str) -> None:
    if len(pattern) > _LONGEST_PATTERN:
        raise DataError(f"--group_by is longer than {_LONGEST_PATTERN:,} characters.")
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise DataError(f"{flag} is not a regular expression: {error}.") from None
    if not compiled.groups:
        raise DataError(f"{flag} has no group: put the part that images of one group share in parentheses.")
