"""The first images of each class. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from datasets.errors import DataError
from datasets.examples import features
from datasets.inspection.record_facts import MOST_SAMPLES
from datasets.inspection.record_set import RecordSet
from datasets.inspection.result import Sample, extremes_of
from datasets.sources import ImageSource
from datasets.tfrecords import compression_of, scan_records

_MANY_PLACES = 1000
MOST_BYTES = 16 * 2**20


def samples_of_records(data: RecordSet, counts: Sequence[int], per_class: int) -> tuple[Sample, ...]:
    """Return the first images of each class, of the first splits that have some.

    Args:
      data: the records.
      counts: images by label.
      per_class: how many of each class; fewer if there are many classes.
    """
    wanted: dict[Path, dict[int, tuple[str, int, int]]] = {}
    for label, how_many in shares(counts, per_class):
        places = [(number, byte, path, split) for split, path, number, byte in _places(data, label)]
        for number, byte, path, split in places[:how_many]:
            wanted.setdefault(path, {})[byte] = (split, label, number)
    samples = []
    for path, of_file in wanted.items():
        for byte, record in records_at(path, sorted(of_file)):
            split, label, number = of_file[byte]
            format_ = data.formats[split]
            assert format_
            kind, values = features(record).get(format_.image_key, ("", []))
            if kind == "bytes" and values and len(values[0]) <= MOST_BYTES:
                samples.append(Sample(split, label, path.name, number, values[0]))
    return tuple(sorted(samples, key=lambda sample: sample.label))


def samples_of_folders(source: ImageSource, root: Path, bad: frozenset[str], per_class: int) -> tuple[Sample, ...]:
    """Return the first images of each class; those whose names are in ``bad`` are passed over."""
    counts = [sum(column) for column in zip(*(map(len, split) for split in source.splits.values()), strict=True)]
    samples = []
    for label, how_many in shares(counts, per_class):
        names = ((split, name) for split, classes in source.splits.items() for name in classes[label])
        found = 0
        for split, name in names:
            if found == how_many:
                break
            if name not in bad and (root / name).stat().st_size <= MOST_BYTES:
                samples.append(Sample(split, label, name, None, (root / name).read_bytes()))
                found += 1
    return tuple(samples)


def shares(counts: Sequence[int], per_class: int) -> Iterator[tuple[int, int]]:
    """Yield the labels to show, each with how many images of it."""
    if not per_class:
        return
    present = {label: count for label, count in enumerate(counts) if count}
    first, last = extremes_of(present, MOST_SAMPLES)
    for label in (*first, *last):
        yield label, max(1, min(per_class, MOST_SAMPLES // len(present)))


def _places(data: RecordSet, label: int) -> Iterator[tuple[str, Path, int, int]]:
    """Yield split, file, number and byte of the first sound records of a class."""
    for split, paths in data.files.splits.items():
        format_ = data.formats[split]
        for path in paths if format_ else ():
            assert format_
            facts = data.facts[path]
            bad = {number for number, _ in facts.bad.get(format_.image_key, [])}
            seen = facts.seen.get(format_.label_key, {}).get(data.values(split)[label], [])
            yield from ((split, path, number, byte) for number, byte in seen if number not in bad)


def records_at(path: Path, places: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the records that begin at the bytes given."""
    try:
        # A compressed file would be unpacked from its beginning for each place, any other be opened.
        if compression_of(path) or len(places) > _MANY_PLACES:
            wanted = set(places)
            for byte, record in scan_records(path):
                if byte in wanted:
                    yield byte, record
                if byte >= places[-1]:
                    return
        else:
            for place in places:
                yield next(scan_records(path, place))
    except DataError:  # changed since it was read
        return
