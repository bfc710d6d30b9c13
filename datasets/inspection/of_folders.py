"""The inspection of class folders, before they are converted. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.class_folders import NoImages, scan
from datasets.duplicates.fingerprints import Fingerprint
from datasets.errors import DataError
from datasets.inspection.checks import classes_without_images
from datasets.inspection.duplicates import FolderImages, duplicate_findings, find_duplicates
from datasets.inspection.file_facts import chunks_of_files
from datasets.inspection.image_stats import ImageStats
from datasets.inspection.reading import Request, read_chunks
from datasets.inspection.result import CLASS_FOLDERS, Finding, Inspection, Place, SplitFacts, faults_first
from datasets.inspection.samples import samples_of_folders
from datasets.record_files import find_any_record_files
from datasets.sources import ImageSource
from datasets.spec import INFO_FILE

# The split of class folders that are not below split folders.
ALL = "all"
_FILES_WORTH_PROCESSES = 2000
_FILES_WORTH_PROCESSES_TO_DECODE = 200
_FILES_IN_A_CHUNK = 200


def inspect_folders(folder: Path, request: Request) -> Inspection:
    """Return what class folders are, and what conversion would reject.

    Raises:
      DataError: there are no images in class folders.
    """
    try:
        source = scan(folder)
    except NoImages:
        raise _nothing_in(folder) from None
    chunks, of_chunk = [], []
    for split, classes in source.splits.items():
        names = [name for of_class in classes for name in of_class]
        own = list(chunks_of_files(str(folder), names, request.decode, request.compare, _FILES_IN_A_CHUNK))
        chunks += own
        of_chunk += [split] * len(own)
    amounts = [len(chunk.names) for chunk in chunks]
    worth = _FILES_WORTH_PROCESSES_TO_DECODE if request.decodes else _FILES_WORTH_PROCESSES
    stats, bad = ImageStats(), []
    prints: dict[str, Fingerprint] = {}
    sizes = dict.fromkeys(source.splits, 0)
    for split, found in zip(
        of_chunk, read_chunks(chunks, amounts, "reading images", "images", request, worth), strict=True
    ):
        sizes[split] += found.num_bytes
        stats.merge(found.stats)
        bad += found.bad
        prints |= found.prints
    if not stats.images:
        raise _nothing_in(folder)
    duplicates = None
    if request.compare:
        splits = {split: _name(split, source) for split in source.splits}
        duplicates = find_duplicates(FolderImages(source, folder, prints, splits), request.compare, request.distance)
    findings = [*_findings_of_folders(source, bad), *(duplicate_findings(duplicates) if duplicates else ())]
    return Inspection(
        dataset_dir=str(folder),
        kind=CLASS_FOLDERS,
        name=folder.resolve().name,
        labels=source.classes,
        splits=_splits_of_folders(source, sizes),
        images=stats,
        findings=faults_first(findings),
        decoded=request.decodes,
        samples=samples_of_folders(source, folder, frozenset(name for name, _ in bad), request.per_class),
        duplicates=duplicates,
    )


def _name(split: str, source: ImageSource) -> str:
    return split if source.is_split else ALL


def _nothing_in(folder: Path) -> DataError:
    found = next(
        (path for path in _subfolders(folder) if (path / INFO_FILE).exists() or find_any_record_files(path)), None
    )
    hint = f"{found} holds a data set." if found else "--file_pattern names record files of other names."
    return DataError(
        f"{folder} holds no record files that are known by their names, and no images in class folders. {hint}"
    )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _splits_of_folders(source: ImageSource, sizes: Mapping[str, int]) -> dict[str, SplitFacts]:
    splits = {}
    for split, classes in source.splits.items():
        counts = tuple(map(len, classes))
        splits[_name(split, source)] = SplitFacts(sum(counts), counts, sum(counts), sizes[split])
    return splits


def _findings_of_folders(source: ImageSource, bad: Sequence[tuple[str, str]]) -> list[Finding]:
    findings = []
    if bad:
        message = f"{len(bad):,} file{'' if len(bad) == 1 else 's'} cannot be decoded; conversion leaves them out."
        places = tuple(Place(name, None, reason) for name, reason in bad)
        findings.append(Finding("broken_images", message, True, len(bad), places))
    names = {name for name, _ in bad}
    for label, name in enumerate(source.classes):
        usable = [file for split in source.splits.values() for file in split[label] if file not in names]
        if not usable:
            findings.append(Finding("unusable_class", f"Class {name!r} has no usable image: conversion stops at it."))
        elif len(usable) == 1 and not source.is_split:
            message = f"Class {name!r} has a single usable image, {usable[0]}: train and test need one each."
            findings.append(Finding("unusable_class", message))
    if source.is_split:
        for split, classes in source.splits.items():
            findings += classes_without_images(split, source.classes, tuple(map(len, classes)))
    return findings
