"""The inspection of record files. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from datasets.errors import DataError
from datasets.foreign import RecordsAsTold
from datasets.inspection.checks import CHECKS, split_counts
from datasets.inspection.duplicates import RecordImages, duplicate_findings, find_duplicates
from datasets.inspection.image_stats import ImageStats
from datasets.inspection.reading import Request, read_chunks
from datasets.inspection.record_facts import NOT_READ, RecordChunk, RecordFacts, chunks_of, merge_chunks
from datasets.inspection.record_set import RecordFiles, RecordSet, open_records
from datasets.inspection.result import CONVERTED, RECORDS, Inspection, KeyFacts, SplitFacts, faults_first
from datasets.inspection.samples import samples_of_records
from datasets.inspection.write_info import write_info_of
from datasets.scan import FileScan, KeyScan
from datasets.storage import path_of

_BYTES_WORTH_PROCESSES = 16 * 2**20
_BYTES_WORTH_PROCESSES_TO_DECODE = 2**20
_CHUNK_BYTES = 16 * 2**20
_LONGEST_EXAMPLE = 40


def inspect_records(files: RecordFiles, told: RecordsAsTold, request: Request, write_info: bool) -> Inspection:
    """Return what record files are, and what is wrong with them.

    Args:
      files: the files.
      told: what the user says of them.
      request: how to read.
      write_info: whether to write info.json and labels.txt.

    Raises:
      DataError: no record can be read.
    """
    facts = _facts_of(files, request)
    if not any(of_file.scan.records for of_file in facts.values()):
        damaged = next(((path, of_file.damage[0][1]) for path, of_file in facts.items() if of_file.damage), None)
        what = (
            f"{damaged[0]}: {damaged[1].removesuffix(NOT_READ)}"
            if damaged
            else f"The record files of {files.folder} hold no records"
        )
        raise DataError(f"{what}.")
    data = open_records(files, facts, told)
    findings = [finding for check in CHECKS for finding in check(data)]
    splits = {
        split: SplitFacts(data.scans[split].records, split_counts(data, split), len(paths), sum(map(_size, paths)))
        for split, paths in files.splits.items()
    }
    format_ = next((of_split for of_split in data.formats.values() if of_split), None)
    inspection = Inspection(
        dataset_dir=str(files.folder),
        kind=CONVERTED if files.info else RECORDS,
        name=files.name or files.folder.resolve().name,
        labels=data.labels,
        splits=splits,
        images=_stats(data),
        keys=_keys(data),
        image_key=format_.image_key if format_ else None,
        label_key=format_.label_key if format_ else None,
        compression=next(iter(data.scans.values())).compression,
        decoded=request.decodes,
    )
    if write_info:
        inspection, findings = write_info_of(inspection, data, findings)
    duplicates = None
    if request.compare:
        duplicates = find_duplicates(RecordImages(data), request.compare, request.distance)
        findings = [*findings, *duplicate_findings(duplicates)]
    samples = samples_of_records(data, inspection.class_counts or (), request.per_class)
    return dataclasses.replace(inspection, findings=faults_first(findings), samples=samples, duplicates=duplicates)


def _facts_of(files: RecordFiles, request: Request) -> dict[Path, RecordFacts]:
    facts: dict[Path, RecordFacts] = {}
    chunks: list[RecordChunk] = []
    amounts: list[int] = []
    for path in files.all:
        try:
            path.open("rb").close()
            own = list(chunks_of(path, _CHUNK_BYTES, request.decode, request.per_class, request.compare))
        except OSError as error:
            reason = f"the file cannot be read ({error.strerror})"
            facts[path] = RecordFacts(1, FileScan(0, "", {}), damage=[(0, reason)])
            continue
        chunks += own
        amounts += [_size(path) // len(own)] * len(own)
    worth = _BYTES_WORTH_PROCESSES_TO_DECODE if request.decodes else _BYTES_WORTH_PROCESSES
    of_file: dict[str, list[RecordFacts]] = {}
    for chunk, found in zip(
        chunks, read_chunks(chunks, amounts, "reading records", "bytes", request, worth), strict=True
    ):
        of_file.setdefault(chunk.path, []).append(found)
    for name, parts in of_file.items():
        facts[path_of(name)] = merge_chunks(parts, request.per_class)
    return {path: facts[path] for path in files.all}


def _stats(data: RecordSet) -> ImageStats | None:
    stats = None
    for split, paths in data.files.splits.items():
        format_ = data.formats[split]
        for path in paths if format_ else ():
            assert format_
            stats = stats or ImageStats()
            if found := data.facts[path].stats.get(format_.image_key):
                stats.merge(found)
    return stats


def _keys(data: RecordSet) -> dict[str, KeyFacts]:
    roles: dict[str, str] = {}
    for format_ in filter(None, data.formats.values()):
        roles |= {format_.file_key: "file name", format_.label_key: "label", format_.image_key: "image"}
    found: dict[str, list[KeyScan]] = {}
    for scan_of_split in data.scans.values():
        for key, scan_of_key in scan_of_split.keys.items():
            found.setdefault(key, []).append(scan_of_key)
    keys = {}
    for key, scans in sorted(found.items()):
        values = (min(scan_of_key.least for scan_of_key in scans), max(scan_of_key.most for scan_of_key in scans))
        records, images = (sum(getattr(scan_of_key, what) for scan_of_key in scans) for what in ("records", "images"))
        keys[key] = KeyFacts(scans[0].kind, records, images, values, roles.get(key, ""), _example(scans))
    return keys


def _example(scans: Sequence[KeyScan]) -> str:
    values = list(dict.fromkeys(value for scan_of_key in scans for value in scan_of_key.counts))
    if not values or any(scan_of_key.images for scan_of_key in scans):
        return ""
    shown = ", ".join(
        value if len(value) <= _LONGEST_EXAMPLE else f"{value[:_LONGEST_EXAMPLE]}..." for value in values[:3]
    )
    if len(values) <= 3:
        return f"always {shown}" if len(values) == 1 else f"one of {shown}"
    return f"{len(values):,} values, such as {shown}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
