"""Which of the images that are the same conversion should leave out. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datasets.duplicates.fingerprints import LEVELS
from datasets.errors import DataError
from datasets.exclusions import Exclusion
from datasets.inspection.record_set import split_order
from datasets.inspection.result import Duplicate, DuplicateGroup, Duplicates

_WORDS = {"bytes": "equal bytes", "pixels": "equal pixels", "near": "near-duplicate"}


def exclusions_of(duplicates: Duplicates, folder: Path) -> Iterator[Exclusion]:
    """Yield the images to leave out: of one label all but one, of several labels all.

    The image that stays is the first of the last split: test before validation before train. So an image of train that
    leaks into a split for evaluation is left out of train.

    Args:
      duplicates: what was found.
      folder: of the data set, for the message.

    Raises:
      DataError: records do not say from which files they were made.
    """
    for group in duplicates.groups:
        for image in group.images:
            if not image.source:
                raise DataError(
                    f"--write_exclusions names files, and the records of {folder} do not say from which they were made "
                    f"(first: {image}): inspect the class folders."
                )
        yield from _of_group(group)


def _of_group(group: DuplicateGroup) -> Iterator[Exclusion]:
    if len(group.labels) > 1:
        for image in group.images:
            other = next(one for one in group.images if one.label != image.label)
            yield Exclusion(image.source, f"another label, {_likeness(image, other)}", other.source)
        return
    last = max((image.split for image in group.images), key=split_order)
    kept = next(image for image in group.images if image.split == last)
    for image in group.images:
        if image is not kept:
            yield Exclusion(image.source, _likeness(image, kept), kept.source)


def _likeness(one: Duplicate, other: Duplicate) -> str:
    """Return what two images have in common at least: both are compared with the first of their group."""
    return _WORDS[max(one.likeness, other.likeness, key=LEVELS.index)]
