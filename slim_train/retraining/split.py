"""Which images are for training, validation and testing: by the hash of their names, as in TF-Hub's retrain script.

The hash is of the path below the image folder (``daisy/5547758_eea9edfd54_n.jpg``), so that an image stays where it is
when others come and go, or when the whole folder moves. No TensorFlow.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from datasets.splits import ImagesByClass, name_fraction
from slim_train.errors import UsageError

TRAINING, VALIDATION, TESTING = "training", "validation", "testing"


@dataclass(frozen=True)
class Moved:
    """Images that the hash would have put elsewhere, moved because their class had none in this part."""

    names: tuple[str, ...]
    part: str


@dataclass(frozen=True)
class Split:
    """Images by part, and in each by class in label order; what was moved to fill a part."""

    parts: dict[str, list[list[str]]]
    moved: tuple[Moved, ...]


# Images that belong together, with their common hash: they differ only after _nohash_ in their names.
_Group = tuple[float, tuple[str, ...]]


def split_images(
    classes: Sequence[str], images: ImagesByClass, validation_percentage: int, testing_percentage: int
) -> Split:
    """Divide each class; a part whose percentage is 0 stays empty.

    The hashes below the validation percentage are for validation, those above it and below the sum for testing. A class
    that this leaves without an image in some part lends it the one, with its ``_nohash_`` relatives, whose hash is
    nearest.

    Raises:
      UsageError: a class has too few images to have one in each part.
    """
    wanted = _borders(validation_percentage, testing_percentage)
    parts: dict[str, list[list[str]]] = {part: [] for part in (TRAINING, VALIDATION, TESTING)}
    moved: list[Moved] = []
    for class_name, names in zip(classes, images, strict=True):
        groups = _groups(names)
        if len(groups) < len(wanted):
            raise UsageError(
                f"The class {class_name!r} has {len(groups)} images (those that differ only after _nohash_ count as "
                f"one), and {', '.join(wanted)} take one each. Add some, or set --testing_percentage or "
                "--validation_percentage to 0."
            )
        by_part = {part: [group for group in groups if _part_of(group[0], wanted) == part] for part in wanted}
        moved += _fill_empty(by_part, wanted)
        for part, by_class in parts.items():
            by_class.append(sorted(name for _, members in by_part.get(part, ()) for name in members))
    return Split(parts, tuple(moved))


def hashed_part(name: str, validation_percentage: int, testing_percentage: int) -> str:
    """Return the part that the hash of a name alone puts an image in."""
    return _part_of(name_fraction(name), _borders(validation_percentage, testing_percentage))


def _borders(validation_percentage: int, testing_percentage: int) -> dict[str, tuple[float, float]]:
    """Return between which hashes each part lies; parts whose percentage is 0 are left out."""
    borders = {
        VALIDATION: (0.0, validation_percentage / 100.0),
        TESTING: (validation_percentage / 100.0, (validation_percentage + testing_percentage) / 100.0),
        TRAINING: ((validation_percentage + testing_percentage) / 100.0, 1.0),
    }
    return {part: border for part, border in borders.items() if border[0] < border[1]}


def _groups(names: Sequence[str]) -> list[_Group]:
    ordered = sorted(names, key=lambda name: (name_fraction(name), name))
    return [(fraction, tuple(members)) for fraction, members in itertools.groupby(ordered, key=name_fraction)]


def _part_of(fraction: float, borders: dict[str, tuple[float, float]]) -> str:
    return next((part for part, (_, end) in borders.items() if fraction < end), TRAINING)


def _fill_empty(by_part: dict[str, list[_Group]], borders: dict[str, tuple[float, float]]) -> list[Moved]:
    """Move the nearest group into each empty part, from a part that keeps others."""
    moved = []
    for part in [part for part, groups in by_part.items() if not groups]:
        start, end = borders[part]
        lent = [(group, lender) for lender, groups in by_part.items() if len(groups) > 1 for group in groups]
        group, lender = min(lent, key=lambda loan: max(start - loan[0][0], loan[0][0] - end))
        by_part[lender].remove(group)
        by_part[part].append(group)
        moved.append(Moved(group[1], part))
    return moved
