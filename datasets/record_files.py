"""How the record files of a data set folder are named, and which of them are there. No TensorFlow here."""

from __future__ import annotations

import re
from pathlib import Path

from datasets.errors import DataError

# The last two forms are those of research/slim's converters: flowers_train_00000-of-00005.tfrecord, and ImageNet's
# train-00000-of-01024.
_SHARD = r"(?:[-_](?P<shard>\d{5})-of-(?P<count>\d{5}))"
_NAMED = re.compile(rf"(?P<name>.+)_(?P<split>[A-Za-z]+){_SHARD}?\.tfrecords?")
_UNNAMED = re.compile(rf"(?P<split>train|validation|test){_SHARD}")


def file_names(name: str, split_name: str, num_shards: int) -> list[str]:
    """Return the names of a split's record files."""
    if num_shards == 1:
        return [f"{name}_{split_name}.tfrecord"]
    return [f"{name}_{split_name}-{shard:05d}-of-{num_shards:05d}.tfrecord" for shard in range(num_shards)]


def find_record_files(folder: Path) -> dict[tuple[str | None, str], list[Path]]:
    """All record files of a folder, sorted, by (data set name, split name); the name is None for ImageNet's form."""
    found: dict[tuple[str | None, str], list[Path]] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"Cannot list the data set folder {folder}: {error.strerror}.") from error
    for path in paths:
        if match := _NAMED.fullmatch(path.name):
            found.setdefault((match["name"], match["split"]), []).append(path)
        elif match := _UNNAMED.fullmatch(path.name):
            found.setdefault((None, match["split"]), []).append(path)
    return found


def check_shards(paths: list[Path]) -> None:
    """Make sure that the files of a split are one whole set.

    Raises:
      DataError: a shard is missing, or files of two conversions lie side by side.
    """
    matches = [_NAMED.fullmatch(path.name) or _UNNAMED.fullmatch(path.name) for path in paths]
    counts = {int(match["count"] or 1) for match in matches if match}
    if len(counts) > 1 or len(paths) > max(counts):
        raise DataError(
            f"{paths[0].parent} holds record files of two conversions side by side: {paths[0].name} and "
            f"{paths[-1].name}. Remove the stale ones."
        )
    if len(paths) < max(counts):
        present = {int(match["shard"]) for match in matches if match}
        missing = next(shard for shard in range(max(counts)) if shard not in present)
        raise DataError(
            f"{paths[0].parent} holds {len(paths)} of {max(counts)} shards like {paths[0].name}; shard {missing:05d} "
            "is missing. Copy it there, or convert the data again."
        )
