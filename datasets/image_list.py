"""The images of a conversion, listed and ordered on disk: memory does not grow with their number. No TensorFlow.

A listed image goes into one of 128 buckets, by the first bits of the hash that orders the records
(:func:`datasets.splits.order_key`). The images are ordered by sorting one bucket after the other. All files are written
once, from the beginning to the end, as mounted object stores require.
"""

from __future__ import annotations

import array
import bisect
import collections
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from datasets.splits import TRAIN_AND_TEST, is_below, nfc, num_test, order_key, split_key

_BUCKET_BITS = 7  # one open file each, of the 256 that macOS allows
_BUCKETS = 1 << _BUCKET_BITS
_BUFFER_BYTES = 1 << 13
_READ_BYTES = 1 << 18
_ROW = struct.Struct("<QQIH")  # order key, split key, group, bytes of the name
_ORDERED = struct.Struct("<IH")  # label, bytes of the name
_KEY = struct.Struct("=Q")  # as an array of Python has it
_SPLIT_KEYS = -1  # in place of the number of a bucket


class Division(NamedTuple):
    """How each class is divided into train and test: see :mod:`datasets.splits`."""

    test_fraction: float
    method: str


class Group:
    """Images of one class that are listed together.

    Attributes:
      split_name: the split that they come in.
      class_name: to be set after they are listed; "" leaves them out.
      images: number of images.
      below: how many of these their name alone sends to the test split.
      first: number of images listed before.
    """

    def __init__(self, owner: ImageList, number: int, split_name: str) -> None:
        self.split_name, self.class_name = split_name, ""
        self.images = self.below = 0
        self.first = owner.listed
        self._owner, self._number = owner, number

    def add(self, name: str) -> None:
        """List an image."""
        self.images += 1
        self.below += self._owner.append(self._number, name)


@dataclass(frozen=True)
class OrderedImages:
    """The images of a record file in their order, read from disk whenever they are iterated over.

    Attributes:
      path: file with all images of the split.
      start: byte at which the first of them stands.
      count: number of images.
    """

    path: Path
    start: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield the name and the label of each image."""
        with self.path.open("rb", _READ_BYTES) as file:
            file.seek(self.start)
            for _ in range(self.count):
                label, length = _ORDERED.unpack(file.read(_ORDERED.size))
                yield os.fsdecode(file.read(length)), label


class ImageList:
    """Names of images, in groups of one class.

    Attributes:
      groups: what is listed.
      listed: number of images in all groups.
      division: how classes are divided; None if they are not.
    """

    def __init__(self, folder: Path, seed: int, division: Division | None) -> None:
        """Start an empty list.

        Args:
          folder: an empty folder for the files of the list.
          seed: of the split and of the order.
          division: None if classes are not divided.
        """
        self.groups: list[Group] = []
        self.listed = 0
        self._folder, self._seed, self.division = folder, seed, division
        self._files: dict[int, BinaryIO] = {}

    def group(self, split_name: str) -> Group:
        """Return a new group. Groups are filled one after the other."""
        self.groups.append(Group(self, len(self.groups), split_name))
        return self.groups[-1]

    def append(self, group: int, name: str) -> bool:
        """List an image of a group; return whether its name alone sends it to the test split."""
        place, split_place, below = int.from_bytes(order_key(name, self._seed), "big"), 0, False
        if self.division:
            split_place, below = self._split_place(name), is_below(name, *self.division)
            self._file(_SPLIT_KEYS).write(_KEY.pack(split_place))
        self.listed += 1
        encoded = os.fsencode(name)
        self._file(place >> 64 - _BUCKET_BITS).write(_ROW.pack(place, split_place, group, len(encoded)) + encoded)
        return below

    def close(self) -> None:
        """End the list: nothing can be added any more."""
        for file in self._files.values():
            file.close()

    def class_counts(self, classes: Sequence[str], without: Mapping[str, int]) -> list[int]:
        """Return the number of images of each class, less those of ``without``: names with their labels."""
        counts = collections.Counter(without.values())
        labels = self._labels(classes)
        totals = [-counts[label] for label in range(len(classes))]
        for group, label in zip(self.groups, labels, strict=True):
            if label >= 0:
                totals[label] += group.images
        return totals

    def first_of(self, classes: Sequence[str], label: int, without: Mapping[str, int]) -> str:
        """Return an image of a class, other than those of ``without``."""
        self.close()
        labels = self._labels(classes)
        return next(
            name
            for bucket in range(_BUCKETS)
            for _, _, group, name in self._rows(bucket)
            if labels[group] == label and name not in without
        )

    def order(
        self, classes: Sequence[str], num_shards: int, without: Mapping[str, int]
    ) -> dict[str, list[OrderedImages]]:
        """Return the images of each record file, in their order, by split.

        Args:
          classes: names of the classes; a label is an index into them.
          num_shards: record files per split.
          without: names of images to leave out, with their labels.
        """
        self.close()
        labels = self._labels(classes)
        splits, split_of = self._splits()
        borders = self._borders(labels, len(classes), without) if self.division else []
        counts = [0] * len(splits)
        if borders:
            total = sum(self.class_counts(classes, without))
            tests = sum(border.images for border in borders)
            counts = [total - tests, tests]
        else:
            for group, split, label in zip(self.groups, split_of, labels, strict=True):
                counts[split] += group.images if label >= 0 else 0
        files = [
            _SplitFile(self._folder / f"order-{split}", count, num_shards) for split, count in enumerate(counts)
        ]  # fmt: skip
        try:
            for bucket in range(_BUCKETS):
                rows = [
                    (place, labels[group], split_place, nfc(name), name, split_of[group])
                    for place, split_place, group, name in self._rows(bucket)
                    if labels[group] >= 0 and name not in without
                ]
                for _, label, split_place, _, name, split in sorted(rows):
                    is_test = bool(borders) and borders[label].has(split_place, name)
                    files[1 if is_test else split].append(name, label)
        finally:
            for file in files:
                file.close()
        return {name: file.shards() for name, file in zip(splits, files, strict=True)}

    def _splits(self) -> tuple[Sequence[str], list[int]]:
        """Return the names of the splits, and the number of that of each group."""
        if self.division:
            return TRAIN_AND_TEST, [0] * len(self.groups)
        names = list(dict.fromkeys(group.split_name for group in self.groups if group.class_name and group.images))
        number = {name: index for index, name in enumerate(names)}
        return names, [number.get(group.split_name, 0) for group in self.groups]

    def _labels(self, classes: Sequence[str]) -> list[int]:
        """Return the label of each group; -1 if it is left out."""
        label = {name: number for number, name in enumerate(classes)}
        return [label[group.class_name] if group.class_name and group.images else -1 for group in self.groups]

    def _borders(self, labels: Sequence[int], num_classes: int, without: Mapping[str, int]) -> list[_Border]:
        """Return the border between test and train of each class."""
        assert self.division
        groups: list[list[Group]] = [[] for _ in range(num_classes)]
        for group, label in zip(self.groups, labels, strict=True):
            if label >= 0:
                groups[label].append(group)
        bad: list[list[str]] = [[] for _ in range(num_classes)]
        for name, label in without.items():
            bad[label].append(name)
        borders = []
        for of_class, excluded in zip(groups, bad, strict=True):
            keys = self._split_keys_of(of_class, excluded)
            below = sum(group.below for group in of_class) - sum(is_below(name, *self.division) for name in excluded)
            borders.append(_border(keys, num_test(len(keys), below, *self.division)))
        self._choose_among_equals(borders, labels, without)
        return borders

    def _choose_among_equals(
        self, borders: Sequence[_Border], labels: Sequence[int], without: Mapping[str, int]
    ) -> None:
        """Decide by name which images with the key of a border are test images, where not all of them are."""
        equals: dict[int, list[tuple[str, str]]] = {
            label: [] for label, border in enumerate(borders) if border.chosen < border.equal
        }
        if not equals:
            return
        for bucket in range(_BUCKETS):
            for _, split_place, group, name in self._rows(bucket):
                label = labels[group]
                if label in equals and split_place == borders[label].key and name not in without:
                    equals[label].append((nfc(name), name))
        for label, names in equals.items():
            borders[label].names = frozenset(name for _, name in sorted(names)[: borders[label].chosen])

    def _split_keys_of(self, groups: Sequence[Group], excluded: Sequence[str]) -> array.array[int]:
        """Return the keys by which images of some groups are divided, less those of ``excluded``."""
        keys = array.array("Q")
        with self._path(_SPLIT_KEYS).open("rb") as file:
            for group in groups:
                file.seek(group.first * keys.itemsize)
                keys.fromfile(file, group.images)
        gone = collections.Counter(map(self._split_place, excluded))
        if gone:
            gone.subtract(key for key in keys if key in gone)  # images with an excluded key that stay, as negatives
            kept = {key: -count for key, count in gone.items()}
            keys = array.array("Q", (key for key in keys if key not in gone))
            keys.extend(key for key, count in kept.items() for _ in range(count))
        return keys

    def _split_place(self, name: str) -> int:
        assert self.division
        # The hash of filename_hash has 4 bytes.
        return int.from_bytes(split_key(name, self._seed, self.division.method).ljust(8, b"\0"), "big")

    def _rows(self, bucket: int) -> Iterator[tuple[int, int, int, str]]:
        """Yield order key, split key, group and name of the images of a bucket."""
        path = self._path(bucket)
        data = path.read_bytes() if path.exists() else b""
        position = 0
        while position < len(data):
            place, split_place, group, length = _ROW.unpack_from(data, position)
            position += _ROW.size + length
            yield place, split_place, group, os.fsdecode(data[position - length : position])

    def _file(self, bucket: int) -> BinaryIO:
        """Return the file of a bucket, open for writing."""
        file = self._files.get(bucket)
        if file is None:
            file = self._files[bucket] = self._path(bucket).open("wb", _BUFFER_BYTES)
        return file

    def _path(self, bucket: int) -> Path:
        return self._folder / ("split-keys" if bucket == _SPLIT_KEYS else f"bucket-{bucket}")


@dataclass
class _Border:
    """Which images of a class are test images: those with the smallest keys.

    Attributes:
      images: number of test images.
      key: the largest of their keys.
      chosen: how many of them have this key.
      equal: how many images of the class have it.
      names: the test images with this key; None if all images with it are.
    """

    images: int
    key: int
    chosen: int
    equal: int
    names: frozenset[str] | None = None

    def has(self, key: int, name: str) -> bool:
        """Return whether an image of the class is a test image."""
        return key < self.key or (key == self.key and (self.names is None or name in self.names))


def _border(keys: array.array[int], count: int) -> _Border:
    """Return the border of the ``count`` smallest keys, without a Python object for each key."""
    by_first_bits = collections.Counter(key >> 52 for key in keys)
    below, first_bits = 0, -1
    for first_bits in sorted(by_first_bits):
        if below + by_first_bits[first_bits] >= count:
            break
        below += by_first_bits[first_bits]
    near = sorted(key for key in keys if key >> 52 == first_bits)
    key = near[count - below - 1]
    first = bisect.bisect_left(near, key)
    return _Border(count, key, count - below - first, bisect.bisect_right(near, key) - first)


class _SplitFile:
    """The file of the images of a split, in their order."""

    def __init__(self, path: Path, count: int, num_shards: int) -> None:
        self._path = path
        self._edges = [count * edge // num_shards for edge in range(num_shards + 1)]
        self._starts: list[int] = []
        self._images = self._bytes = 0
        self._file = path.open("wb", _READ_BYTES)

    def append(self, name: str, label: int) -> None:
        """Write an image."""
        while len(self._starts) < len(self._edges) and self._edges[len(self._starts)] == self._images:
            self._starts.append(self._bytes)
        encoded = os.fsencode(name)
        self._bytes += self._file.write(_ORDERED.pack(label, len(encoded)) + encoded)
        self._images += 1

    def shards(self) -> list[OrderedImages]:
        """Return the images of each record file."""
        assert self._images == self._edges[-1], (self._images, self._edges)
        starts = self._starts + [self._bytes] * (len(self._edges) - len(self._starts))
        sizes = (end - start for start, end in zip(self._edges, self._edges[1:], strict=False))
        return [OrderedImages(self._path, start, size) for start, size in zip(starts, sizes, strict=False)]

    def close(self) -> None:
        """End the file."""
        self._file.close()
