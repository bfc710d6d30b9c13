"""What record files hold, found by reading them once: records, keys, labels. No TensorFlow, no decoding of images.

``python -m datasets.scan FILE...`` prints it as JSON; that is how several processes share the work.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import tfrecords
from datasets.errors import DataError
from datasets.examples import features
from datasets.files import cache_folder, replacing

if TYPE_CHECKING:  # Pillow comes with it, which the processes of a scan do not need
    from datasets.sources import OnProgress

log = logging.getLogger(__name__)

SCAN_FILE = "records_scan.json"
_VERSION = 1
# Other processes take a second to start.
_BYTES_WORTH_A_PROCESS = 64 * 2**20
# Numbers and texts that are counted; a key with more of them is no label.
_MOST_VALUES = 100_000
_LONGEST_TEXT = 200
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")


@dataclass
class KeyScan:
    """What the records of a file have under one key.

    Attributes:
      kind: bytes, int or float.
      records: how many records have the key.
      least: length of the shortest list of values.
      most: length of the longest.
      images: records whose value begins like an image file.
      empty: number of the first record with an empty value, or None.
      counts: value -> records, for single whole numbers and short texts.
      hot: index -> records, for lists with a single 1 among zeros.
    """

    kind: str
    records: int = 0
    least: int = 2**31
    most: int = 0
    images: int = 0
    empty: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    hot: dict[str, int] = field(default_factory=dict)


@dataclass
class FileScan:
    """What a record file holds.

    Attributes:
      records: how many.
      compression: "", GZIP or ZLIB.
      keys: by name.
    """

    records: int
    compression: str
    keys: dict[str, KeyScan]


def scan_files(files: Sequence[Path], on_progress: OnProgress | None = None) -> dict[Path, FileScan]:
    """Return what each file holds; read once, and again when its size or time of change is another.

    What was found is kept beside the files, or in the cache folder where that cannot be written.

    Args:
      files: record files.
      on_progress: called as ``on_progress(what, done, total, unit)``.

    Raises:
      DataError: a file is damaged, or holds something else; the message names file and place.
    """
    stamps = {file: _stamp(file) for file in files}
    known = {folder: _known(folder) for folder in {file.parent for file in files}}
    found = {file: known[file.parent][file.name][1] for file in files if file.name in known[file.parent]}
    fresh = [file for file in files if file not in found]
    if fresh:
        total = sum(stamps[file][0] for file in fresh)
        log.info("Reading %d record files (%.1f MB) once, to see what they hold.", len(fresh), total / 1e6)
        done = 0
        for file, scan in _scans(fresh, total):
            found[file] = scan
            done += stamps[file][0]
            if on_progress:
                on_progress("reading records", done, total, "bytes")
        for folder in {file.parent for file in fresh}:
            added = {file.name: (stamps[file], found[file]) for file in fresh if file.parent == folder}
            _keep(folder, known[folder] | added)
    return {file: found[file] for file in files}


def scan_file(path: Path) -> FileScan:
    """Read a record file. Raises DataError as :func:`scan_files` does."""
    keys: dict[str, KeyScan] = {}
    number = 0
    for number, (offset, record) in enumerate(tfrecords.scan_records(path), start=1):
        try:
            held = features(record)
        except ValueError as error:
            raise DataError(f"{path}, record at byte {offset}: {error}.") from None
        for key, (kind, values) in held.items():
            scan = keys.setdefault(key, KeyScan(kind))
            if scan.kind != kind:
                raise DataError(f"{path}, record at byte {offset}: {key} is {kind}, and {scan.kind} in records before.")
            add_values(scan, values, number)
    forget_names(keys)
    return FileScan(number, tfrecords.compression_of(path), keys)


def merge(scans: Iterable[FileScan]) -> FileScan:
    """Return what several files hold together."""
    records, compressions, keys = 0, set(), dict[str, KeyScan]()
    for scan in scans:
        before, records = records, records + scan.records
        compressions.add(scan.compression)
        for name, key in scan.keys.items():
            into = keys.setdefault(name, KeyScan(key.kind))
            into.records += key.records
            into.least, into.most = min(into.least, key.least), max(into.most, key.most)
            into.images += key.images
            if into.empty is None and key.empty is not None:
                into.empty = before + key.empty
            # In place: file names, a value of their own in each record, would else be copied again for every file.
            for total, counts in ((into.counts, key.counts), (into.hot, key.hot)):
                for value, count in counts.items():
                    total[value] = total.get(value, 0) + count
    return FileScan(records, "/".join(sorted(compressions)), keys)


def add_values(scan: KeyScan, values: Sequence[Any], number: int) -> None:
    """Count in what record ``number`` has under the key of ``scan``."""
    scan.records += 1
    scan.least, scan.most = min(scan.least, len(values)), max(scan.most, len(values))
    if len(values) == 1 and scan.kind != "float":
        (value,) = values
        if scan.kind == "bytes":
            if not value and scan.empty is None:
                scan.empty = number
            scan.images += value.startswith(_IMAGES)
            value = value.decode(errors="replace") if len(value) <= _LONGEST_TEXT else None
        if value is not None and len(scan.counts) < _MOST_VALUES:
            scan.counts[str(value)] = scan.counts.get(str(value), 0) + 1
    elif scan.kind == "int" and len(values) > 1 and values.count(1) == 1 and values.count(0) == len(values) - 1:
        index = str(values.index(1))
        scan.hot[index] = scan.hot.get(index, 0) + 1


def forget_names(keys: Mapping[str, KeyScan]) -> None:
    """Forget the values of keys that have too many of them for labels."""
    for scan in keys.values():
        if len(scan.counts) >= _MOST_VALUES:
            scan.counts = {}


def keep_scans(scans: Mapping[Path, FileScan]) -> None:
    """Keep what files were found to hold, so that :func:`scan_files` need not read them."""
    for folder in {file.parent for file in scans}:
        entries = {name: entry for name, entry in _known(folder).items() if (folder / name).exists()}
        added = {file.name: (_stamp(file), scan) for file, scan in scans.items() if file.parent == folder}
        _keep(folder, entries | added)


def _scans(files: Sequence[Path], total: int) -> Iterable[tuple[Path, FileScan]]:
    """Yield what each file holds, as it is found."""
    workers = min(len(files), os.cpu_count() or 1)
    if workers == 1 or total < _BYTES_WORTH_A_PROCESS:
        yield from ((file, scan_file(file)) for file in files)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(_scan_in_process, file): file for file in files}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            for future in waiting:
                future.cancel()


def _scan_in_process(file: Path) -> FileScan:
    # Not multiprocessing: that would run the user's script again where it is started without fork.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-m", "datasets.scan", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode == 2:
        raise DataError(result.stderr.strip())
    if result.returncode:
        raise DataError(f"Reading {file} failed: {(result.stderr.strip().splitlines() or ['killed'])[-1]}")
    return _from_json(json.loads(result.stdout))


def _stamp(file: Path) -> list[int]:
    try:
        status = file.stat()
    except OSError as error:
        raise DataError(f"Cannot read the record file {file}: {error.strerror}.") from error
    return [status.st_size, status.st_mtime_ns]


def _places(folder: Path) -> list[Path]:
    key = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:24]
    return [folder / SCAN_FILE, cache_folder() / "scans" / f"{key}.json"]


def _known(folder: Path) -> dict[str, tuple[list[int], FileScan]]:
    """Return what was kept of files that have not changed since, by name."""
    known: dict[str, tuple[list[int], FileScan]] = {}
    for place in _places(folder):  # the first may be outdated, in a folder that cannot be written
        for name, (stamp, scan) in _kept(place):
            if name not in known and (folder / name).is_file() and stamp == _stamp(folder / name):
                known[name] = stamp, scan
    return known


def _kept(place: Path) -> Iterator[tuple[str, tuple[list[int], FileScan]]]:
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        if content["version"] == _VERSION:
            entries = {name: (entry["stamp"], _from_json(entry["scan"])) for name, entry in content["files"].items()}
            yield from entries.items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or another program's
        return


def _keep(folder: Path, entries: Mapping[str, tuple[list[int], FileScan]]) -> None:
    files = {name: {"stamp": stamp, "scan": asdict(scan)} for name, (stamp, scan) in entries.items()}
    text = json.dumps({"version": _VERSION, "files": files}, ensure_ascii=False)
    for place in _places(folder):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as temporary:
                temporary.write_text(text, encoding="utf-8")
            return
        except OSError as error:
            log.debug("Cannot keep the scan in %s: %s", place, error)
    log.warning("What the files of %s hold cannot be kept: they are read again next time.", folder)


def _from_json(content: Mapping[str, Any]) -> FileScan:
    keys = {name: KeyScan(**key) for name, key in content["keys"].items()}
    return FileScan(content["records"], content["compression"], keys)


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(asdict(scan_file(Path(sys.argv[1])))))
    except DataError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
