"""What may be wrong with records and class folders: one function for each check, each a generator of findings.

A check sees the whole data set, so that checks over several splits (images that occur twice, or in two splits) have
their place here. No TensorFlow.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from pathlib import Path

from datasets.inspection.record_facts import RecordFacts
from datasets.inspection.record_set import RecordSet
from datasets.inspection.result import Finding, Place
from datasets.record_format import RecordFormat, label_counts

# What tf.io.decode_image reads.
_DECODED = ("JPEG", "PNG", "GIF", "BMP")
_MOST_NAMED = 10


def damaged_records(data: RecordSet) -> Iterator[Finding]:
    """Find records that are truncated, or whose checksum is wrong."""
    places = [
        Place(_name(data, path), number or None, reason)
        for path, facts in data.facts.items()
        for number, reason in facts.damage
    ]
    if places:
        yield Finding(
            "damaged_records", f"{_count(len(places), 'record')} cannot be read.", True, len(places), tuple(places)
        )


def mixed_types(data: RecordSet) -> Iterator[Finding]:
    """Find keys whose values have another type in some records."""
    places: dict[str, list[Place]] = {}
    for path, facts in data.facts.items():
        for key, number in facts.mixed.items():
            places.setdefault(key, []).append(Place(_name(data, path), number))
    for key, where in places.items():
        yield Finding("mixed_types", f"{key} has another type in some records than in others.", places=tuple(where))


def refusals(data: RecordSet) -> Iterator[Finding]:
    """Say what training says when it opens the data set."""
    for message in data.refusals:
        yield Finding("refused", f"Training stops: {message}")


def missing_images(data: RecordSet) -> Iterator[Finding]:
    """Find records without the key of the image, or of the label."""
    for what in ("image_key", "label_key"):
        places, count = [], 0
        key = ""
        for path, facts, format_ in _files(data):
            key = getattr(format_, what)
            if key in facts.mixed:
                continue
            numbers = facts.lacking.get(key, []) if key in facts.scan.keys else list(facts.numbers[:1000])
            count += facts.scan.records - (facts.scan.keys[key].records if key in facts.scan.keys else 0)
            places += [Place(_name(data, path), number) for number in numbers]
        if count:
            check = f"no_{what.removesuffix('_key')}"
            yield Finding(check, f"{_count(count, 'record')} without {key}.", True, count, tuple(places))


def broken_images(data: RecordSet) -> Iterator[Finding]:
    """Find values under the key of the image that are empty, cut short or no images."""
    places, count = [], 0
    for path, facts, format_ in _files(data):
        key = format_.image_key
        if key in facts.scan.keys:
            places += [Place(_name(data, path), number, reason) for number, reason in facts.bad.get(key, [])]
            count += facts.scan.keys[key].records - (facts.stats[key].images if key in facts.stats else 0)
    if count:
        yield Finding("broken_images", f"{_count(count, 'image')} cannot be decoded.", True, count, tuple(places))


def unknown_formats(data: RecordSet) -> Iterator[Finding]:
    """Find images in formats that TensorFlow does not decode."""
    counts: collections.Counter[str] = collections.Counter()
    for _, facts, format_ in _files(data):
        if format_.image_key in facts.stats:
            counts += facts.stats[format_.image_key].formats
    for image_format, count in sorted(counts.items()):
        if image_format not in _DECODED:
            message = f"{_count(count, 'image')} of the format {image_format}, which TensorFlow does not decode."
            yield Finding("unknown_format", message, True, count)


def labels_out_of_range(data: RecordSet) -> Iterator[Finding]:
    """Find labels that no class has."""
    counts: collections.Counter[str] = collections.Counter()
    places: list[Place] = []
    for split, paths in data.files.splits.items():
        format_, valid = data.formats[split], frozenset(data.values(split))
        for path in paths if valid else ():
            facts = data.facts[path]
            if not format_ or format_.label_key not in facts.scan.keys:
                continue
            for value, count in label_counts(facts.scan, format_).items():
                if value not in valid:
                    counts[value] += count
                    found = facts.seen.get(format_.label_key, {}).get(value, [])
                    places += [Place(_name(data, path), number, f"label {value}") for number, _ in found]
    if counts:
        named = ", ".join(f"{value} ({count:,})" for value, count in counts.most_common(_MOST_NAMED))
        more = f" and {len(counts) - _MOST_NAMED:,} others" if len(counts) > _MOST_NAMED else ""
        message = f"{_count(counts.total(), 'label')} out of range, with {len(data.labels):,} classes: {named}{more}."
        yield Finding("labels_out_of_range", message, True, counts.total(), tuple(places))


def counts_differ(data: RecordSet) -> Iterator[Finding]:
    """Find splits whose number of records is not that of info.json."""
    for split, of_info in (data.files.info.splits if data.files.info else {}).items():
        if split not in data.files.splits:
            continue
        records = data.scans[split].records
        counted = split_counts(data, split)
        if records != of_info.num_samples:
            message = (
                f"info.json says {of_info.num_samples:,} images in split {split}, and there are {records:,} records."
            )
        elif counted and of_info.class_counts and counted != of_info.class_counts and sum(counted) == records:
            label = next(
                index
                for index, pair in enumerate(zip(counted, of_info.class_counts, strict=True))
                if pair[0] != pair[1]
            )
            message = (
                f"info.json says {of_info.class_counts[label]:,} images of {data.labels[label]!r} in split {split}, "
                f"and there are {counted[label]:,}."
            )
        else:
            continue
        yield Finding("counts_differ", f"{message} --write_info corrects info.json.")


def missing_classes(data: RecordSet) -> Iterator[Finding]:
    """Find classes without an image in a split."""
    for split in data.files.splits:
        counts = split_counts(data, split)
        if counts is not None:
            yield from classes_without_images(split, data.labels, counts)


CHECKS: tuple[Callable[[RecordSet], Iterator[Finding]], ...] = (
    damaged_records,
    mixed_types,
    refusals,
    missing_images,
    broken_images,
    unknown_formats,
    labels_out_of_range,
    counts_differ,
    missing_classes,
)


def classes_without_images(split: str, labels: tuple[str, ...], counts: tuple[int, ...]) -> Iterator[Finding]:
    """Find classes of which a split has no image."""
    empty = [name for name, count in zip(labels, counts, strict=True) if not count]
    if empty:
        more = f" and {len(empty) - _MOST_NAMED:,} others" if len(empty) > _MOST_NAMED else ""
        message = f"Split {split} has no image of {', '.join(empty[:_MOST_NAMED])}{more}."
        yield Finding("missing_classes", message, False, len(empty))


def split_counts(data: RecordSet, split: str) -> tuple[int, ...] | None:
    """Return the records of a split by label; None if it is not clear what the label is."""
    format_ = data.formats[split]
    scan = data.scans[split]
    if not format_ or not data.labels or format_.label_key not in scan.keys:
        return None
    by_value = label_counts(scan, format_)
    if not by_value:
        return None
    return tuple(by_value.get(value, 0) for value in data.values(split))


def _files(data: RecordSet) -> Iterator[tuple[Path, RecordFacts, RecordFormat]]:
    for split, paths in data.files.splits.items():
        format_ = data.formats[split]
        if format_:
            yield from ((path, data.facts[path], format_) for path in paths)


def _name(data: RecordSet, path: Path) -> str:
    return path.relative_to(data.files.folder).as_posix()


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
