"""What an inspection learns from records in one reading. No TensorFlow.

A chunk is a stretch of one file. The facts of a file are those of its chunks, merged in their order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from datasets.duplicates.fingerprints import Fingerprint
from datasets.errors import DataError
from datasets.examples import features
from datasets.images import ImageRejected
from datasets.inspection.image_stats import ImageStats, look_at
from datasets.scan import FileScan, KeyScan, add_values, forget_names, merge
from datasets.tfrecords import compression_of, record_starts, scan_records

T = TypeVar("T")

# Of records that are listed by number: per file, key and fault.
MOST_LISTED = 1000
# Images that are shown, of all classes together: a sheet with more is not looked at, and takes long to draw.
MOST_SAMPLES = 200
# End of the reason of damage after which a file is not read further.
NOT_READ = ". What follows in this file is not read"
# A key with more values than this, nearly one for each record, names records and no classes.
_MANY_VALUES = 1000
_LONGEST_TEXT = 200
# How the images begin that TensorFlow decodes, and TIFF. A class called BMW is no image: none is that short.
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF", b"II*\x00", b"MM\x00*")
_SHORTEST_IMAGE = 26


@dataclass(frozen=True)
class RecordChunk:
    """A stretch of a record file.

    Attributes:
      path: the file.
      start: byte at which its first record begins.
      first: number of that record, from 1.
      records: how many; None: to the end of the file.
      decode: whether to decode images in full.
      per_value: how many records to remember for each value of a key that may be a label.
      compare: by what images are compared: bytes, pixels or near; "" if they are not.
    """

    path: str
    start: int = 0
    first: int = 1
    records: int | None = None
    decode: bool = False
    per_value: int = 0
    compare: str = ""


@dataclass
class RecordFacts:
    """What the records of a file, or of a stretch of it, hold.

    Attributes:
      first: number of the first record, from 1.
      scan: the keys and their values.
      stats: key -> the images under it.
      bad: key of images -> records whose value is none: [number, reason].
      lacking: key -> numbers of records without it.
      seen: key -> value -> the first records with it: [number, byte at which it begins].
      damage: records that cannot be read: [number, reason].
      mixed: key -> first record in which it has another type than before.
      prints: key -> number of a record -> byte at which it begins and fingerprint of its image, if they are compared.
    """

    first: int
    scan: FileScan
    stats: dict[str, ImageStats] = field(default_factory=dict)
    bad: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    lacking: dict[str, list[int]] = field(default_factory=dict)
    seen: dict[str, dict[str, list[tuple[int, int]]]] = field(default_factory=dict)
    damage: list[tuple[int, str]] = field(default_factory=list)
    mixed: dict[str, int] = field(default_factory=dict)
    prints: dict[str, dict[int, tuple[int, Fingerprint]]] = field(default_factory=dict)

    @property
    def numbers(self) -> range:
        """The numbers of the records, if none is damaged."""
        return range(self.first, self.first + self.scan.records)

    @property
    def is_whole(self) -> bool:
        """Whether every record could be read."""
        return not self.damage and not self.mixed

    def as_json(self) -> dict[str, Any]:
        """Return all facts as values that JSON takes."""
        return {
            **vars(self),
            "scan": asdict(self.scan),
            "stats": {key: stats.as_json() for key, stats in self.stats.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RecordFacts:
        """Return what :meth:`as_json` has given."""
        scan = content["scan"]
        keys = {name: KeyScan(**key) for name, key in scan["keys"].items()}
        stats = {key: ImageStats.from_json(of_key) for key, of_key in content["stats"].items()}
        prints = {
            key: {int(number): (byte, Fingerprint(*of)) for number, (byte, of) in of_key.items()}
            for key, of_key in content["prints"].items()
        }
        content = {**content, "prints": prints}
        return cls(**{**content, "scan": FileScan(scan["records"], scan["compression"], keys), "stats": stats})


def chunks_of(path: Path, chunk_bytes: int, decode: bool, per_value: int, compare: str = "") -> Iterator[RecordChunk]:
    """Cut a file into chunks of about ``chunk_bytes``; a compressed one stays whole."""
    start, first, number = 0, 1, 1
    if path.stat().st_size > chunk_bytes:
        for number, byte in enumerate(record_starts(path), start=1):
            if byte - start >= chunk_bytes:
                yield RecordChunk(str(path), start, first, number - first, decode, per_value, compare)
                start, first = byte, number
    yield RecordChunk(str(path), start, first, None, decode, per_value, compare)


def read_chunk(chunk: RecordChunk) -> RecordFacts:
    """Read the records of a chunk. Damaged ones are facts; after one whose length is sound, reading goes on."""
    facts = RecordFacts(chunk.first, FileScan(0, compression_of(chunk.path), {}))
    for number, byte, record in _records(chunk, facts.damage):
        try:
            held = features(record)
        except ValueError as error:
            _list(facts.damage, (number, f"{error}"))
            continue
        facts.scan.records += 1
        if held.keys() != facts.scan.keys.keys():
            _note_keys(facts, held, number)
        for key, (kind, values) in held.items():
            scan = facts.scan.keys[key]
            if scan.kind != kind:
                facts.mixed.setdefault(key, number)
                continue
            add_values(scan, values, facts.scan.records)
            if scan.kind != "float":
                _note_value(facts, key, values, number, byte, chunk)
    forget_names(facts.scan.keys)
    for key in facts.bad.keys() - facts.stats.keys():
        if facts.scan.keys[key].counts.keys() - {""}:  # texts
            del facts.bad[key]
    for key, seen in list(facts.seen.items()):
        if len(seen) > _MANY_VALUES and len(seen) > 0.9 * facts.scan.records:
            del facts.seen[key]
            continue
        for places in seen.values():  # no more than are shown: files times classes may be many
            del places[max(1, MOST_SAMPLES // len(seen)) :]
    return facts


def merge_chunks(chunks: Sequence[RecordFacts], per_value: int) -> RecordFacts:
    """Return the facts of a file from those of its chunks, in their order."""
    scan = merge(chunk.scan for chunk in chunks)
    forget_names(scan.keys)
    whole = RecordFacts(chunks[0].first, scan)
    kinds: dict[str, str] = {}
    for index, chunk in enumerate(chunks):
        for key, of_key in chunk.scan.keys.items():
            for before in chunks[:index] if key not in kinds else ():
                _extend(whole.lacking, {key: before.numbers})
            if kinds.setdefault(key, of_key.kind) != of_key.kind:
                whole.mixed.setdefault(key, chunk.first)
        for key in kinds.keys() - chunk.scan.keys.keys():
            _extend(whole.lacking, {key: chunk.numbers})
        _extend(whole.lacking, chunk.lacking)
        _extend(whole.bad, chunk.bad)
        for key, stats in chunk.stats.items():
            whole.stats.setdefault(key, ImageStats()).merge(stats)
        for key, prints in chunk.prints.items():
            whole.prints.setdefault(key, {}).update(prints)
        for key, seen in chunk.seen.items():
            _extend(whole.seen.setdefault(key, {}), seen, per_value)
        _extend({"": whole.damage}, {"": chunk.damage})
        whole.mixed = {**chunk.mixed, **whole.mixed}
    return whole


def _extend(lists: dict[str, list[T]], more: Mapping[str, Sequence[T]], most: int = MOST_LISTED) -> None:
    for key, entries in more.items():
        if entries:
            into = lists.setdefault(key, [])
            into += entries[: max(0, most - len(into))]


def _records(chunk: RecordChunk, damage: list[tuple[int, str]]) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, place and bytes of each record that can be read."""
    start, number = chunk.start, chunk.first
    end = None if chunk.records is None else chunk.first + chunk.records
    while end is None or number < end:
        try:
            for byte, record in itertools.islice(scan_records(chunk.path, start), end and end - number):
                yield number, byte, record
                number, start = number + 1, byte + len(record) + 16
            return
        except DataError as error:
            reason = str(error).removeprefix(f"{chunk.path}, record at byte {start}: ").rstrip(".")
            following = next(itertools.islice(record_starts(chunk.path, start), 1, 2), None)
            if following is None:
                _list(damage, (number, f"{reason}{NOT_READ}"))
                return
            _list(damage, (number, reason))
            number, start = number + 1, following


def _note_keys(facts: RecordFacts, held: Mapping[str, tuple[str, list[Any]]], number: int) -> None:
    for key, (kind, _) in held.items():
        if key not in facts.scan.keys:
            facts.scan.keys[key] = KeyScan(kind)
            if facts.scan.records > 1:
                facts.lacking[key] = list(range(facts.first, number))[:MOST_LISTED]
    for key in facts.scan.keys.keys() - held.keys():
        _list(facts.lacking.setdefault(key, []), number)


def _note_value(facts: RecordFacts, key: str, values: list[Any], number: int, byte: int, chunk: RecordChunk) -> None:
    if len(values) == 1:
        (value,) = values
        if isinstance(value, bytes):
            if len(value) > _LONGEST_TEXT or value.startswith(_STARTS) or not value:
                _note_image(facts, key, value, number, byte, chunk)
                return
            _list(facts.bad.setdefault(key, []), (number, "not an image"))
            value = value.decode(errors="replace")
    elif values.count(1) == 1 and values.count(0) == len(values) - 1:
        value = values.index(1)
    else:
        return
    seen = facts.seen.setdefault(key, {})
    places = seen.setdefault(str(value), [])
    if len(places) < chunk.per_value:
        places.append((number, byte))


def _note_image(facts: RecordFacts, key: str, data: bytes, number: int, byte: int, chunk: RecordChunk) -> None:
    try:
        if not data:
            raise ImageRejected("empty")
        if len(data) < _SHORTEST_IMAGE or not data.startswith(_STARTS):
            raise ImageRejected("not an image")
        header, found = look_at(data, chunk.decode, chunk.compare)
        facts.stats.setdefault(key, ImageStats()).add(header, len(data))
        if found:
            facts.prints.setdefault(key, {})[number] = (byte, found)
    except ImageRejected as error:
        _list(facts.bad.setdefault(key, []), (number, str(error)))


def _list(entries: list[Any], entry: Any) -> None:
    if len(entries) < MOST_LISTED:
        entries.append(entry)
