"""The images that are in a data set more than once: within a class, across classes, across splits. No TensorFlow."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from datasets.duplicates.fingerprints import NEAR, Fingerprint
from datasets.duplicates.groups import group_numbers, groups_of, levels_up_to, likeness
from datasets.examples import features
from datasets.inspection.record_set import RecordSet, split_order
from datasets.inspection.result import Duplicate, DuplicateCounts, DuplicateGroup, Duplicates, Finding, Leak, Place
from datasets.inspection.samples import MOST_BYTES, records_at
from datasets.record_format import label_of
from datasets.sources import ImageSource

# Groups that a report shows of each relation and likeness, and images of each.
_MOST_SHOWN = 4
_MOST_IN_A_ROW = 6
_MOST_PLACES = 1000


class Compared(NamedTuple):
    """An image that was compared.

    Attributes:
      split: its split.
      file: path of its file below the data set folder.
      record: number of the record, from 1; None for an image file.
      byte: at which the record begins.
      print: its fingerprint.
    """

    split: str
    file: str
    record: int | None
    byte: int
    print: Fingerprint


class Known(NamedTuple):
    """What is known of an image besides: its label, its name for conversion, and its bytes."""

    label: int | None
    source: str
    data: bytes


class FolderImages:
    """The images of class folders.

    Args:
      source: the images.
      root: the folder.
      prints: name -> fingerprint.
      splits: the name of each split of the source in the report.
    """

    def __init__(
        self, source: ImageSource, root: Path, prints: Mapping[str, Fingerprint], splits: Mapping[str, str]
    ) -> None:
        self._source, self._root, self._prints, self._splits = source, root, prints, splits
        self._labels: dict[str, int] = {}

    def all(self) -> Iterator[Compared]:
        """Yield all images that were compared."""
        for split, classes in self._source.splits.items():
            for label, names in enumerate(classes):
                for name in names:
                    if name in self._prints:
                        self._labels[name] = label
                        yield Compared(self._splits[split], name, None, 0, self._prints[name])

    def look_up(self, images: Sequence[Compared], with_data: bool = False) -> Mapping[Compared, Known]:
        """Return labels and names, and the bytes if asked for."""
        return {
            image: Known(self._labels[image.file], image.file, self._read(image.file) if with_data else b"")
            for image in images
        }

    def _read(self, name: str) -> bytes:
        try:
            path = self._root / name
            return path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
        except OSError:
            return b""


class RecordImages:
    """The images of records.

    Args:
      data: the records.
    """

    def __init__(self, data: RecordSet) -> None:
        self._data = data

    def all(self) -> Iterator[Compared]:
        """Yield all images that were compared."""
        for split, paths in self._data.files.splits.items():
            format_ = self._data.formats[split]
            for path in paths if format_ else ():
                assert format_
                name = path.relative_to(self._data.files.folder).as_posix()
                for number, (byte, found) in self._data.facts[path].prints.get(format_.image_key, {}).items():
                    yield Compared(split, name, number, byte, found)

    def look_up(self, images: Sequence[Compared], with_data: bool = False) -> Mapping[Compared, Known]:
        """Return labels and names, and the bytes if asked for."""
        by_file: dict[str, dict[int, Compared]] = collections.defaultdict(dict)
        for image in images:
            by_file[image.file][image.byte] = image
        known = {}
        for file, of_file in by_file.items():
            for byte, record in records_at(self._data.files.folder / file, sorted(of_file)):
                image = of_file[byte]
                format_ = self._data.formats[image.split]
                assert format_
                held = features(record)
                label = label_of(held, format_, self._data.labels)
                is_known = label is not None and 0 <= label < len(self._data.labels)
                _, names = held.get(format_.file_key, ("", []))
                source = names[0].decode("utf-8", "surrogateescape") if names and isinstance(names[0], bytes) else ""
                data = held[format_.image_key][1][0] if with_data else b""
                known[image] = Known(label if is_known else None, source, data if len(data) <= MOST_BYTES else b"")
        return known


def find_duplicates(images: FolderImages | RecordImages, level: str, distance: int) -> Duplicates:
    """Return the images that are there more than once.

    Args:
      images: all images of the data set.
      level: by what they were compared: bytes, pixels or near.
      distance: bits in which perceptual hashes of near-duplicates may differ.
    """
    compared = list(images.all())
    prints = [image.print for image in compared]
    by_level = {
        of: [[compared[index] for index in group] for group in groups_of(group_numbers(prints, of, distance))]
        for of in levels_up_to(level)
    }
    found = by_level[level]
    known = dict(images.look_up([image for group in found for image in group]))
    labels = {image: of.label for image, of in known.items()}
    groups = [_group(group, known) for group in found]
    shown = groups_to_show(groups)
    varied = [image for index in shown for image in _varied(found[index], labels)]
    known.update(images.look_up(varied, with_data=True))
    for index in shown:
        groups[index] = _group(found[index], known)
    counts = {of: counts_of([_group(group, known) for group in by_level[of]]) for of in by_level}
    in_split = collections.Counter(image.split for image in compared)
    return Duplicates(level, distance, counts, tuple(leaks_of(groups, in_split)), tuple(groups))


def duplicate_findings(duplicates: Duplicates) -> Iterator[Finding]:
    """Say what the duplicates are a problem for. None is a fault: training goes on."""
    for leak in duplicates.leaks:
        groups = [group for group in duplicates.groups if {leak.split, leak.other} <= group.splits]
        message = (
            f"{leak.images:,} of {leak.of_images:,} images of {leak.split} ({leak.images / leak.of_images:.1%}) are "
            f"also in {leak.other}: metrics on {leak.split} are too optimistic. --write_exclusions lists what to leave "
            "out."
        )
        yield Finding("duplicates_across_splits", message, False, leak.images, _leaked(groups, leak))
    mixed = [group for group in duplicates.groups if len(group.labels) > 1]
    if mixed:
        count = sum(len(group.images) for group in mixed)
        message = f"{len(mixed):,} image{'s' if len(mixed) > 1 else ''} with more than one label, in {count:,} copies."
        yield Finding("duplicates_across_classes", message, False, len(mixed), _places(mixed))
    within = [group for group in duplicates.groups if len(group.splits) == 1 and len(group.labels) <= 1]
    if within:
        count = sum(len(group.images) - 1 for group in within)
        what = "copies or near-duplicates" if duplicates.level == NEAR else "copies"
        message = f"{count:,} images are {what} of others in the same class and split."
        yield Finding("duplicates_within_class", message, False, len(within), _places(within))


def _leaked(groups: Iterable[DuplicateGroup], leak: Leak) -> tuple[Place, ...]:
    lines = (
        Place(image.file, image.record, f"also {next(other for other in group.images if other.split == leak.other)}")
        for group in groups
        for image in group.images
        if image.split == leak.split
    )
    return tuple(itertools.islice(lines, _MOST_PLACES))


def _places(groups: Iterable[DuplicateGroup]) -> tuple[Place, ...]:
    lines = (
        Place(group.images[0].file, group.images[0].record, f"also {', '.join(map(str, group.images[1:_MOST_SHOWN]))}")
        for group in groups
    )
    return tuple(itertools.islice(lines, _MOST_PLACES))


def counts_of(groups: Sequence[DuplicateGroup]) -> DuplicateCounts:
    """Count groups by what their images have in common."""
    classes = sum(len(group.labels) > 1 for group in groups)
    splits = sum(len(group.splits) > 1 for group in groups)
    within = sum(len(group.labels) <= 1 and len(group.splits) == 1 for group in groups)
    return DuplicateCounts(len(groups), sum(len(group.images) for group in groups), within, classes, splits)


def leaks_of(groups: Sequence[DuplicateGroup], in_split: Mapping[str, int]) -> Iterator[Leak]:
    """Yield the pairs of splits that have images in common.

    Args:
      groups: of images that are the same.
      in_split: split -> number of its images.
    """
    for other, split in itertools.combinations(sorted(in_split, key=split_order), 2):
        both = [group for group in groups if {split, other} <= group.splits]
        if both:
            yield Leak(split, other, sum(image.split == split for of in both for image in of.images), in_split[split])


def _group(images: Sequence[Compared], known: Mapping[Compared, Known]) -> DuplicateGroup:
    unknown = Known(None, "", b"")
    return DuplicateGroup(
        tuple(
            Duplicate(
                image.split,
                known.get(image, unknown).label,
                image.file,
                image.record,
                known.get(image, unknown).source,
                likeness(images[0].print, image.print),
                known.get(image, unknown).data,
            )
            for image in images
        )
    )


def _varied(images: Sequence[Compared], labels: Mapping[Compared, int | None]) -> list[Compared]:
    """Return a few images of a group, of each split and label if possible, in their order."""
    by_kind: dict[tuple[str, int | None], list[Compared]] = {}
    for image in images:
        by_kind.setdefault((image.split, labels.get(image)), []).append(image)
    in_turn = [image for turn in itertools.zip_longest(*by_kind.values()) for image in turn if image]
    chosen = set(in_turn[:_MOST_IN_A_ROW])
    return [image for image in images if image in chosen]


def groups_to_show(groups: Sequence[DuplicateGroup]) -> list[int]:
    """Return the indices of a few groups of each relation and likeness."""
    seen: collections.Counter[tuple[bool, bool, str]] = collections.Counter()
    shown = []
    for index, group in enumerate(groups):
        kind = len(group.splits) > 1, len(group.labels) > 1, group.likeness
        seen[kind] += 1
        if seen[kind] <= _MOST_SHOWN:
            shown.append(index)
    return shown
