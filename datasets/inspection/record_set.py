"""The record files of a folder as an inspection sees them: files, facts, and what training makes of them.

Training refuses what is not clear. Here the refusal is kept, and the rest is told as far as possible. No TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import tfds
from datasets.errors import DataError, unknown_name
from datasets.factory import get_dataset
from datasets.foreign import RecordsAsTold
from datasets.foreign_labels import KnownClasses, known_classes
from datasets.inspection.record_facts import RecordFacts
from datasets.record_files import check_shards, find_any_record_files
from datasets.record_format import RecordFormat, find_format, label_counts
from datasets.scan import FileScan, keep_scans, merge
from datasets.spec import INFO_FILE, DatasetInfo, DatasetSpec, read_info

# Names that --file_pattern with %s may stand for.
_SPLITS = ("train", "training", "validation", "valid", "val", "test", "testing", "eval", "dev")
_MOST_NUMBERED = 100_000


@dataclass(frozen=True)
class RecordFiles:
    """The record files of a folder.

    Attributes:
      folder: where they are.
      name: of the data set, as the user or info.json says.
      splits: split -> files.
      info: content of info.json; None without one, and for records that the user says more about.
      refusals: what is wrong with info.json, and with the set of files.
    """

    folder: Path
    name: str | None
    splits: Mapping[str, Sequence[Path]]
    info: DatasetInfo | None = None
    refusals: tuple[str, ...] = ()

    @property
    def all(self) -> list[Path]:
        """The files of all splits."""
        return [path for paths in self.splits.values() for path in paths]


@dataclass(frozen=True)
class RecordSet:
    """Record files that were read.

    Attributes:
      files: the files.
      facts: what each holds.
      scans: split -> what its files hold together.
      labels: class names by label; empty if it is not clear what the label is.
      formats: split -> where its records hold image and label; None if it is not clear.
      refusals: what training would say.
    """

    files: RecordFiles
    facts: Mapping[Path, RecordFacts]
    scans: Mapping[str, FileScan]
    labels: tuple[str, ...]
    formats: Mapping[str, RecordFormat | None]
    refusals: tuple[str, ...]

    def values(self, split: str) -> tuple[str, ...]:
        """Return what the records of a split have for each class: its name or its number, as text."""
        format_ = self.formats[split]
        is_named = format_ is not None and format_.label_kind == "text"
        return self.labels if is_named else tuple(map(str, range(len(self.labels))))


def find_records(folder: Path, name: str | None, told: RecordsAsTold) -> RecordFiles | None:
    """Return the record files of a folder by split; None if there are none that are known by their names.

    Raises:
      DataError: there are files of several data sets, or none as told.
    """
    if told.file_pattern:
        return RecordFiles(folder, name, _matching(folder, told.file_pattern))
    info, refusals = None, []
    if (folder / INFO_FILE).exists() and not told.is_anything:
        try:
            info = read_info(folder)
        except DataError as error:
            refusals.append(str(error))
    if info and info.records:
        splits = {split: [folder / file for file in files] for split, files in info.records.files.items()}
        return RecordFiles(folder, name or info.name, splits, info)
    found = find_any_record_files(folder)
    if not found:
        return None
    name = name or (info.name if info else None)
    names = {found_name for found_name, _ in found if found_name}
    if name is None and len(names) > 1:
        raise DataError(f"{folder} holds several data sets: {', '.join(sorted(names))}; name one with --dataset_name.")
    of_name = {split: paths for (of, split), paths in found.items() if of is None or name in (None, of)}
    if not of_name:
        raise DataError(unknown_name("data set", name or "", names, f" in {folder}"))
    for paths in of_name.values():
        try:
            check_shards(paths)
        except DataError as error:
            refusals.append(str(error))
    return RecordFiles(
        folder, name, {split: of_name[split] for split in sorted(of_name, key=split_order)}, info, tuple(refusals)
    )


def open_records(files: RecordFiles, facts: Mapping[Path, RecordFacts], told: RecordsAsTold) -> RecordSet:
    """Return what records hold, as training opens them; where it refuses, as far as it can be told."""
    refusals = list(files.refusals)
    specs: dict[str, DatasetSpec] = {}
    if all(of_file.is_whole for of_file in facts.values()):
        if not files.info:
            keep_scans({path: of_file.scan for path, of_file in facts.items()})  # for training, and for get_dataset
        for split in {**files.splits, **(files.info.splits if files.info else {})}:
            try:
                specs[split] = get_dataset(files.name, split, files.folder, "", told)
            except DataError as error:
                refusals.append(str(error))
    formats = {split: spec.records for split, spec in specs.items()}
    scans = {split: merge(facts[path].scan for path in paths) for split, paths in files.splits.items()}
    lenient = {split: formats.get(split) or _likely_format(scan, files.folder, told) for split, scan in scans.items()}
    opened = RecordSet(files, facts, scans, (), lenient, tuple(dict.fromkeys(refusals)))
    labels = next((spec.labels for spec in specs.values()), None) or _likely_labels(opened, told)
    return dataclasses.replace(opened, labels=labels)


def split_order(split: str) -> tuple[int, str]:
    """Return a key that sorts splits: train before validation before test, then others by name."""
    return (_SPLITS.index(split) if split in _SPLITS else len(_SPLITS), split)


def _matching(folder: Path, pattern: str) -> dict[str, list[Path]]:
    names = _SPLITS if "%s" in pattern else ("train",)
    splits: dict[str, list[Path]] = {}
    taken: set[Path] = set()
    for split in sorted(names, key=len, reverse=True):  # val* matches validation too
        try:
            found = {path for path in folder.glob(pattern.replace("%s", split)) if path.is_file()} - taken
        except (ValueError, NotImplementedError) as error:
            raise DataError(f"--file_pattern={pattern}: {error}.") from error
        if found:
            splits[split] = sorted(found)
            taken |= found
    if not splits:
        tried = f" with one of {', '.join(_SPLITS)} for %s" if "%s" in pattern else ""
        raise DataError(f"--file_pattern={pattern}: no file of {folder} matches it{tried}.")
    return {split: splits[split] for split in names if split in splits}


def _likely_format(scan: FileScan, folder: Path, told: RecordsAsTold) -> RecordFormat | None:
    """Return the format that would be found if the records without image or label were not there."""
    keys = {}
    for name, key in scan.keys.items():
        likely = dataclasses.replace(key)
        if 2 * key.records >= scan.records:
            likely.records, likely.empty = scan.records, None
            likely.images = scan.records if 2 * key.images >= key.records else key.images
            likely.most = 1 if key.kind == "int" and key.least == 1 else key.most
        keys[name] = likely
    repaired = FileScan(scan.records, scan.compression.strip("/").partition("/")[0], keys)
    features = tfds.read_features(folder)
    image, label = (key if key in keys else None for key in (features.image_key, features.label_key))
    try:
        return find_format(repaired, folder, told.image_key or image, told.label_key or label, told.text_key)
    except DataError:
        return None


def _likely_labels(opened: RecordSet, told: RecordsAsTold) -> tuple[str, ...]:
    """Return the class names that lie beside the records, or else the labels."""
    values: set[str] = set()
    formats = []
    for split, format_ in opened.formats.items():
        if format_:
            values |= label_counts(opened.scans[split], format_).keys()
            formats.append(format_)
    if not values:
        return ()
    names = _class_names(opened.files.folder, formats[0].label_key, told)
    if any(format_.label_kind == "text" for format_ in formats):
        return names or tuple(sorted(values))
    low, high = min(map(int, values)), max(map(int, values))
    if names:
        return ("background", *names) if low == 1 and high == len(names) else names
    return tuple(map(str, range(high + 1))) if high < _MOST_NUMBERED else ()


def _class_names(folder: Path, label_key: str, told: RecordsAsTold) -> tuple[str, ...] | None:
    of_module = KnownClasses(told.classes, told.classes_from)
    try:
        return known_classes(folder, label_key, tfds.read_features(folder), None, of_module).names
    except DataError:
        return None
