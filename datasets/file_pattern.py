"""Record files by a pattern of the user, in which ``%s`` stands for the name of the split. No TensorFlow."""

from __future__ import annotations

import re
from pathlib import Path

from datasets.errors import DataError
from datasets.tfrecords import begins_like_records

SPLIT = "%s"
# With the stars beside it: two of them would mean folders of any depth.
_SPLIT_AND_STARS = re.compile(r"\**(?:%s\**)+")


def files_of_split(folder: Path, pattern: str, split_name: str) -> list[Path]:
    """Return the files of a split, sorted.

    Raises:
      DataError: there are none, or the pattern cannot be used.
    """
    own = pattern.replace(SPLIT, split_name)
    files = _matching(folder, own, pattern)
    if not files:
        raise DataError(f"--file_pattern={pattern}: no file of {folder} matches {own}.")
    return files


def files_of_all_splits(folder: Path, pattern: str) -> list[Path]:
    """Return the record files that the pattern reaches with any name for the split, sorted.

    Other files that it reaches so, such as labels.txt, are ignored.
    """
    files = _matching(folder, _SPLIT_AND_STARS.sub("*", pattern), pattern)
    return [path for path in files if not path.name.startswith(".") and begins_like_records(path)]


def _matching(folder: Path, pattern: str, as_given: str) -> list[Path]:
    try:
        return sorted(path for path in folder.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError, OSError) as error:
        raise DataError(f"--file_pattern={as_given}: {error}.") from error
