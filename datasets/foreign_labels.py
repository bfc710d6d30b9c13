"""The class names of records that were not converted here, and the number of each. No TensorFlow."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import tfds
from datasets.class_names import read_class_names
from datasets.errors import DataError
from datasets.spec import INFO_FILE, LABELS_FILE, read_info

log = logging.getLogger(__name__)

_MOST_LISTED = 5


@dataclass(frozen=True)
class KnownClasses:
    """The classes that something beside the records names.

    Attributes:
      names: by label; None if nothing names them.
      source: what names them, for errors.
      is_trained: they are those of a training, with a background class if that had one.
    """

    names: tuple[str, ...] | None
    source: str
    is_trained: bool = False


def known_classes(
    folder: Path,
    label_key: str,
    features: tfds.Features,
    trained: tuple[str, ...] | None,
    module: KnownClasses | None = None,
) -> KnownClasses:
    """Return the class names of a folder, else those of a user's module, else those that a model was trained on.

    The last resort are the numbers of features.json.

    Raises:
      DataError: a file of class names cannot be read.
    """
    if (folder / INFO_FILE).is_file():
        return KnownClasses(read_info(folder).labels, str(folder / INFO_FILE))
    of_tfds = tfds.labels_file(label_key if label_key in features.num_classes else "label")
    for file in (folder / LABELS_FILE, folder / of_tfds):
        if file.is_file():
            return KnownClasses(read_class_names(file), str(file))
    if module and module.names:
        return module
    if trained:
        return KnownClasses(trained, "the training folder's labels.txt", is_trained=True)
    if count := features.num_classes.get(label_key):
        return KnownClasses(tuple(map(str, range(count))), str(folder / tfds.FEATURES_FILE))
    return KnownClasses(None, str(folder / LABELS_FILE))


def listed(names: Sequence[str]) -> str:
    """Return the first names, quoted, and how many follow."""
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(map(repr, names[:_MOST_LISTED])) + more


def labels_of_text(classes: KnownClasses, found: Iterable[str], where: Path) -> tuple[str, ...]:
    """Return the class names by label, for records whose labels are class names.

    Args:
      classes: the names that are known.
      found: the names in records; of all splits if no names are known.
      where: for errors.

    Raises:
      DataError: records have a class that is not known.
    """
    labels = classes.names or tuple(sorted(found))
    unknown = sorted(set(found) - set(labels))
    if unknown:
        which = "class {} is" if len(unknown) == 1 else "classes {} are"
        raise DataError(f"{where}: the {which.format(listed(unknown))} not in {classes.source}.")
    return labels


def labels_of_numbers(
    classes: KnownClasses, found: Iterable[str], labels_offset: int, folder: Path, where: Path
) -> tuple[str, ...]:
    """Return a class name for each label from 0 on.

    Args:
      classes: the names that are known.
      found: the labels in records; of all splits if no names are known or 0 is not among those of this one.
      labels_offset: ``--labels_offset``.
      folder: of the data set.
      where: for errors.

    Raises:
      DataError: labels do not fit the names, or begin at 1 and ``labels_offset`` does not say so.
    """
    numbers = sorted(map(int, found))
    low, high = numbers[0], numbers[-1]
    names = classes.names
    known = high + 1 if names is None else len(names)
    begins_at_one = low == 1 if names is None else low >= 1 and high == known and not classes.is_trained
    if begins_at_one and labels_offset != 1:
        raise DataError(
            f"{where}: labels run from {low} to {high}"
            f"{'' if names is None else f', and {known} classes are named'}: --labels_offset=1 makes them begin at 0."
            + (f" If they begin at 0, name the classes in {folder / LABELS_FILE}." if names is None else "")
        )
    if low < 0 or (high >= known and not begins_at_one):
        raise DataError(f"{where}: labels run from {low} to {high}, and {classes.source} names {known} classes.")
    if names is None:
        log.warning("%s has no %s: classes are called by their numbers.", folder, LABELS_FILE)
        return tuple(map(str, range(known)))
    return ("background", *names) if begins_at_one else names
