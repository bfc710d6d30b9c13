"""The part of an inspection that needs a net: labels that are probably wrong, typical and unusual images."""

from __future__ import annotations

import collections
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.duplicates.fingerprints import BYTES, FEATURES
from datasets.duplicates.groups import groups_of
from datasets.examples import features as example_features
from datasets.inspection.duplicates import counts_of, groups_to_show, leaks_of
from datasets.inspection.of_folders import ALL
from datasets.inspection.result import (
    CLASS_FOLDERS,
    Duplicate,
    DuplicateGroup,
    Duplicates,
    FeatureFindings,
    Inspection,
    LabelError,
    Sample,
)
from datasets.inspection.samples import MOST_BYTES, records_at, shares
from datasets.storage import path_of
from slim_train.bulk.cached_features import image_features
from slim_train.bulk.frozen_net import FeatureNet
from slim_train.bulk.image_rows import ImageRow, ImageSet
from slim_train.bulk.label_errors import doubtful_labels
from slim_train.bulk.listing import list_images
from slim_train.bulk.near_features import groups_by_features, without_chains
from slim_train.bulk.options import ListedImages
from slim_train.bulk.typical_images import directions, likeness_to_class, typical_and_unusual
from slim_train.errors import UsageError

log = logging.getLogger(__name__)

_MOST_SHOWN = 60
_MOST_IN_A_ROW = 6
_LARGE = 1 << 30  # bytes


class _Named(NamedTuple):
    """An image as reports name it: file, number of the record, and name for conversion."""

    file: str
    record: int | None
    source: str


def features_of_inspection(
    inspection: Inspection,
    net: FeatureNet,
    per_class: int,
    dataset_name: str | None = None,
    cache: Path | None = None,
) -> FeatureFindings:
    """Return what the features of the images of a data set tell.

    Args:
      inspection: what is known of the data set.
      net: the net, with one end point.
      per_class: typical and unusual images of each class; fewer if there are many classes.
      dataset_name: name of the data set, if the folder holds record files of several.
      cache: folder for features. Default: in the user's cache.

    Raises:
      UsageError: no image has a label, or the cache cannot be written.
      DataError: images cannot be listed.
    """
    if inspection.kind == CLASS_FOLDERS:
        images = list_images(ListedImages(image_dir=inspection.dataset_dir))
    else:
        images = list_images(ListedImages(dataset_dir=inspection.dataset_dir, dataset_name=dataset_name))
    _say_size(len(images.rows), net)
    computed = image_features(net, images, cache)
    classes = inspection.labels
    good = [
        number
        for number, (row, key) in enumerate(zip(images.rows, computed.keys, strict=True))
        if key is not None and row.label is not None and 0 <= row.label < len(classes)
    ]
    if not good:
        raise UsageError(f"No image of {inspection.dataset_dir} has a label and can be decoded.")
    rows = [images.rows[number] for number in good]
    vectors, keys = computed.vectors[good], [computed.keys[number] for number in good]
    labels = np.array([row.label for row in rows], np.int64)
    named = _names(images, inspection)

    of_images = directions(vectors)
    likeness = likeness_to_class(of_images, labels)
    alike = _alike(images, rows, keys, groups_by_features(of_images), named, inspection.duplicates)
    del of_images  # as large as the features
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    typical, unusual = typical_and_unusual(likeness, labels, keys, list(shares(counts, per_class)))
    errors: list[LabelError] = []
    accuracy = None
    if len(np.unique(labels)) > 1:
        doubts = doubtful_labels(vectors, labels, keys, len(classes))
        accuracy = float((doubts.suggestions == labels).mean())
        wrong = [number for number in doubts.order.tolist() if doubts.suggestions[number] != labels[number]]
        shown = set([number for number in wrong if doubts.is_probable[number]][:_MOST_SHOWN])
        data = _read(images, [rows[number].path for number in shown])
        errors = [
            LabelError(
                _split(images, rows[number]),
                int(labels[number]),
                int(doubts.suggestions[number]),
                float(doubts.label_probabilities[number]),
                float(doubts.suggestion_probabilities[number]),
                bool(doubts.is_probable[number]),
                *named[rows[number].path],
                data.get(rows[number].path, b""),
            )
            for number in wrong
        ]
    else:
        log.info("All images are of one class: there are no labels to doubt.")
    data = _read(images, [rows[number].path for number in (*typical, *unusual)])
    examples = [
        tuple(
            Sample(
                _split(images, rows[number]),
                int(labels[number]),
                *named[rows[number].path][:2],
                data[rows[number].path],
            )
            for number in numbers
            if rows[number].path in data
        )
        for numbers in (typical, unusual)
    ]
    return FeatureFindings(net.name, len(good), accuracy, tuple(errors), examples[0], examples[1], alike)


def _say_size(count: int, net: FeatureNet) -> None:
    """Say before the work how much memory it takes, if that is much."""
    (point,) = net.end_points
    size = 4 * count * point.length
    if size > _LARGE:
        text = "Features of %s images take %.1f GB of memory, and once more while they are compared."
        log.info(text, f"{count:,}", size / 1e9)


def _alike(
    images: ImageSet,
    rows: Sequence[ImageRow],
    keys: Sequence[bytes | None],
    numbers: NDArray[np.int64],
    named: Mapping[str, _Named],
    known: Duplicates | None,
) -> Duplicates:
    """Return the groups of images with nearly the same features; with images to show if they are not in ``known``."""

    def duplicate(row: ImageRow, likeness: str, data: Mapping[str, bytes]) -> Duplicate:
        return Duplicate(_split(images, row), row.label, *named[row.path], likeness, data.get(row.path, b""))

    def group_of(members: Sequence[int], data: Mapping[str, bytes]) -> DuplicateGroup:
        first = keys[members[0]]
        return DuplicateGroup(
            tuple(duplicate(rows[number], BYTES if keys[number] == first else FEATURES, data) for number in members)
        )

    found = without_chains(groups_of(numbers), len(rows))
    groups = [group_of(members, {}) for members in found]
    known_group = {
        (one.file, one.record): index
        for index, group in enumerate(known.groups if known else ())
        for one in group.images
    }
    new = [
        index
        for index, group in enumerate(groups)
        if len({known_group.get((one.file, one.record), -1) for one in group.images}) > 1
        or (group.images[0].file, group.images[0].record) not in known_group
    ]
    shown = [new[index] for index in groups_to_show([groups[index] for index in new])]
    data = _read(images, [rows[number].path for index in shown for number in found[index][:_MOST_IN_A_ROW]])
    for index in shown:
        groups[index] = group_of(found[index], data)
    in_split = collections.Counter(_split(images, row) for row in rows)
    return Duplicates(FEATURES, 0, {FEATURES: counts_of(groups)}, tuple(leaks_of(groups, in_split)), tuple(groups))


def _split(images: ImageSet, row: ImageRow) -> str:
    return ALL if images.hashed else row.split or ""


def _names(images: ImageSet, inspection: Inspection) -> Mapping[str, _Named]:
    """Return the names of images by their paths, of which those of records are ``file@byte``."""
    if inspection.kind == CLASS_FOLDERS:
        return {row.path: _Named(row.path, None, row.path) for row in images.rows}
    file_key = next((name for name, key in inspection.keys.items() if key.role == "file name"), "")
    by_file: dict[str, dict[int, str]] = collections.defaultdict(dict)
    for row in images.rows:
        file, _, byte = row.path.rpartition("@")
        by_file[file][int(byte)] = row.path
    named = {}
    for file, paths in by_file.items():
        places = sorted(paths)
        sources = _sources(path_of(images.root) / file, places, file_key) if file_key else {}
        for number, place in enumerate(places, start=1):
            named[paths[place]] = _Named(file, number, sources.get(place, ""))
    return named


def _sources(path: Path, places: Sequence[int], file_key: str) -> dict[int, str]:
    sources = {}
    for byte, record in records_at(path, places):
        _, values = example_features(record).get(file_key, ("", []))
        if values and isinstance(values[0], bytes):
            sources[byte] = os.fsdecode(values[0])
    return sources


def _read(images: ImageSet, paths: Sequence[str]) -> dict[str, bytes]:
    with images.opener().opened(paths) as read:
        contents = {path: read(path) for path in paths}
    return {path: data for path, data in contents.items() if len(data) <= MOST_BYTES}
