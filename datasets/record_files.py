"""How the record files of a data set folder are named, and which of them are there. No TensorFlow here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from datasets.errors import DataError
from datasets.storage import files_in, is_url, path_of

_AnyPath = str | os.PathLike[str]

# The last two forms are those of research/slim's converters: flowers_train_00000-of-00005.tfrecord, and ImageNet's
# train-00000-of-01024.
_SHARD = r"(?:[-_](?P<shard>\d{5})-of-(?P<count>\d{5}))"
_NAMED = re.compile(rf"(?P<name>.+)_(?P<split>[A-Za-z]+){_SHARD}?\.tfrecords?")
_UNNAMED = re.compile(rf"(?P<split>train|validation|test){_SHARD}")
_OURS = (_NAMED, _UNNAMED)

# Those of other converters: pets_train.tfrec, pets-train.tfrecord-00000-of-00001 (TensorFlow Datasets),
# train.tfrecords, val-00000-of-00128, all of them with .gz too.
_SPLIT_NAMES = ("train", "training", "validation", "valid", "val", "test", "testing", "eval", "dev")
_SPLITS = rf"(?P<split>{'|'.join(_SPLIT_NAMES)})"
_ENDING = r"\.(?:tfrecords?|tfrec|records?)"
_OF_OTHERS = tuple(
    re.compile(rf"{form}(?:\.gz)?")
    for form in (
        rf"(?P<name>.+)[-_.](?P<split>[A-Za-z]+){_SHARD}?{_ENDING}",
        rf"(?P<name>.+)[-_.]{_SPLITS}(?:{_ENDING})?{_SHARD}",
        rf"{_SPLITS}(?:{_ENDING})?{_SHARD}?(?:{_ENDING})?",
    )
)
_ALL = (*_OURS, *_OF_OTHERS)
_KNOWN_SPLITS = {*_SPLIT_NAMES, "trainval", "minival", "holdout", "extra", "unlabeled", "unlabelled"}


def file_names(name: str, split_name: str, num_shards: int) -> list[str]:
    """Return the names of a split's record files."""
    if num_shards == 1:
        return [f"{name}_{split_name}.tfrecord"]
    return [f"{name}_{split_name}-{shard:05d}-of-{num_shards:05d}.tfrecord" for shard in range(num_shards)]


def find_record_files(folder: Path) -> dict[tuple[str | None, str], list[Path]]:
    """All record files of a folder, sorted, by (data set name, split name); the name is None for ImageNet's form."""
    found, _ = _by_split(folder, _OURS)
    return found


def find_any_record_files(folder: Path) -> dict[tuple[str | None, str], list[Path]]:
    """Those of other converters too, by (data set name or None, split name).

    Files alone are the split ``train``, unless their name ends in a known split: my_flowers.tfrecord.
    """
    found, others = _by_split(folder, _ALL)
    if len(found) == 1:
        (((_, split_name), paths),) = found.items()
        return found if split_name.lower() in _KNOWN_SPLITS else {(None, "train"): paths}
    lone = [path for path in others if re.search(rf"{_ENDING}(?:\.gz)?$", path.name)]
    return {(None, "train"): lone} if len(lone) == 1 and not found else found


def check_apart(split_name: str, files: Iterable[_AnyPath], other_name: str, others: Iterable[_AnyPath]) -> None:
    """Make sure that two splits share no file, under one path or as links.

    Raises:
      DataError: they do; the message names the file.
    """
    known = {_identity(path): str(path) for path in others}
    known.pop(None, None)
    for path in [str(file) for file in files]:
        if other := known.get(_identity(path)):
            also = "" if path == other else f", also called {other}"
            raise DataError(
                f"The splits {split_name} and {other_name} share the record file {path}{also}: images that are trained "
                "on cannot measure the training. Give each split its own files."
            )


def _identity(path: _AnyPath) -> tuple[int, int] | str | None:
    """Return device and inode number of a file, the same for every link to it; a URL itself, which has no links."""
    if is_url(path):
        return str(path)
    try:
        status = path_of(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _by_split(
    folder: Path, forms: Sequence[re.Pattern[str]]
) -> tuple[dict[tuple[str | None, str], list[Path]], list[Path]]:
    """Return the files of a folder whose names have one of the forms, and the others, sorted."""
    found: dict[tuple[str | None, str], list[Path]] = {}
    others = []
    try:
        paths = files_in(folder)  # a folder train/ holds classes
    except OSError as error:
        raise DataError(f"Cannot list the data set folder {folder}: {error.strerror}.") from error
    for path in paths:
        if match := _match(path.name, forms):
            found.setdefault((match.groupdict().get("name"), match["split"]), []).append(path)
        else:
            others.append(path)
    return found, others


def _match(name: str, forms: Sequence[re.Pattern[str]]) -> re.Match[str] | None:
    return next((match for form in forms if (match := form.fullmatch(name))), None)


def check_shards(paths: list[Path]) -> None:
    """Make sure that the files of a split are one whole set.

    Raises:
      DataError: a shard is missing, or files of two conversions lie side by side.
    """
    matches = [_match(path.name, _ALL) for path in paths]
    counts = {int(match.groupdict().get("count") or 1) for match in matches if match} or {1}
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
