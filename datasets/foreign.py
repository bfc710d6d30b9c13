"""Record files that were not converted here: any usual layout, without info.json. No TensorFlow."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import DataError, unknown_name
from datasets.record_files import check_shards, find_any_record_files
from datasets.record_format import find_format, label_counts
from datasets.scan import merge, scan_files
from datasets.sources import OnProgress
from datasets.spec import INFO_FILE, LABELS_FILE, DatasetSpec, read_info, read_labels

log = logging.getLogger(__name__)

# TensorFlow Datasets names the classes of its feature "label" so.
_TFDS_LABELS = "label.labels.txt"


@dataclass(frozen=True)
class RecordsAsTold:
    """What the user says of records.

    Attributes:
      file_pattern: of the files of the split; ``%s`` stands for its name, as in research/slim.
      image_key: key of the image.
      label_key: key of the label.
      text_key: key of the class name, to be the label.
      labels_offset: subtracted from labels: 1 says that they begin at 1.
    """

    file_pattern: str | None = None
    image_key: str | None = None
    label_key: str | None = None
    text_key: str | None = None
    labels_offset: int = 0

    @property
    def is_anything(self) -> bool:
        """Whether the records are told to differ from those that are converted here."""
        return any(value is not None for value in (self.file_pattern, self.image_key, self.label_key, self.text_key))


def open_foreign(
    name: str | None,
    split_name: str,
    folder: Path,
    told: RecordsAsTold,
    flag: str = "",
    on_progress: OnProgress | None = None,
) -> DatasetSpec:
    """Return the specification of a split whose records are read once to see what they hold.

    Raises:
      DataError: there are no such files, they are damaged, or it is not clear what their image and label are.
    """
    splits = _files(name, split_name, folder, told, flag)
    files = splits[split_name]
    scans = {split: list(scan_files(paths, on_progress).values()) for split, paths in splits.items()}
    own = merge(scans[split_name])
    where = folder / (told.file_pattern or files[0].name)
    if not own.records:
        raise DataError(
            f"{where} holds no records, and {folder / INFO_FILE} is missing: the folder holds no finished data set. "
            "Make one with download_and_convert_data."
        )
    found = find_format(own, where, told.image_key, told.label_key, told.text_key)
    counts = label_counts(own, found)
    everywhere = label_counts(merge(scan for of in scans.values() for scan in of), found)
    names = _class_names(folder)
    if found.label_kind == "one_hot":
        width = own.keys[found.label_key].most
        labels = names if names and len(names) == width else tuple(map(str, range(width)))
    elif found.label_kind == "text":
        labels = names or tuple(sorted(everywhere))
        unknown = sorted(set(counts) - set(labels))
        if unknown:
            raise DataError(f"{where}: the class {unknown[0]!r} is not in {folder / LABELS_FILE}.")
    else:
        labels = _numbered(names, sorted(map(int, everywhere)), told.labels_offset, folder, where)
    stored = labels if found.label_kind == "text" else map(str, range(len(labels)))
    return DatasetSpec(
        name=name or folder.resolve().name,
        split_name=split_name,
        dataset_dir=os.fspath(folder),
        files=tuple(map(os.fspath, files)),
        num_classes=len(labels),
        num_samples=own.records,
        labels=labels,
        class_counts=tuple(counts.get(label, 0) for label in stored),
        records=found,
    )


def _files(name: str | None, split_name: str, folder: Path, told: RecordsAsTold, flag: str) -> dict[str, list[Path]]:
    if told.file_pattern:
        pattern = told.file_pattern.replace("%s", split_name)
        try:
            files = sorted(path for path in folder.glob(pattern) if path.is_file())
        except (ValueError, NotImplementedError) as error:
            raise DataError(f"--file_pattern={told.file_pattern}: {error}.") from error
        if not files:
            raise DataError(f"--file_pattern={told.file_pattern}: no file of {folder} matches {pattern}.")
        return {split_name: files}
    found = find_any_record_files(folder)
    names = {found_name for found_name, _ in found if found_name}
    if name is None and len(names) > 1:
        raise DataError(f"{folder} holds several data sets: {', '.join(sorted(names))}; name one with --dataset_name.")
    splits = {split: paths for (of, split), paths in found.items() if of is None or name in (None, of)}
    if found and not splits:
        raise DataError(unknown_name("data set", name or "", names, f" in {folder}"))
    if not splits:
        raise DataError(
            f"{folder / INFO_FILE} is missing, and no record files are there that are known by their names: name them "
            "with --file_pattern, or convert images with download_and_convert_data."
        )
    if split_name not in splits:
        raise DataError(unknown_name(f"--{flag}" if flag else "split", split_name, splits, f" of {folder}"))
    for paths in splits.values():
        check_shards(paths)
    return splits


def _class_names(folder: Path) -> tuple[str, ...] | None:
    """Return the class names that the folder holds; None if it holds none."""
    if (folder / INFO_FILE).is_file():
        return read_info(folder).labels
    for file in (folder / LABELS_FILE, folder / _TFDS_LABELS):
        if file.is_file():
            lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
            numbered = all(line.partition(":")[0].strip().isdecimal() and ":" in line for line in lines)
            return read_labels(file) if numbered else tuple(line.strip() for line in lines)
    return None


def _numbered(
    names: tuple[str, ...] | None, found: list[int], labels_offset: int, folder: Path, where: Path
) -> tuple[str, ...]:
    """Return a name for each label from 0 on."""
    low, high = found[0], found[-1]
    known = high + 1 if names is None else len(names)
    begins_at_one = low == 1 and (names is None or high == len(names))
    if begins_at_one and labels_offset != 1:
        raise DataError(
            f"{where}: labels run from 1 to {high}"
            f"{'' if names is None else f', and {known} classes are named'}: --labels_offset=1 makes them begin at 0."
        )
    if low < 0 or (high >= known and not begins_at_one):
        raise DataError(f"{where}: labels run from {low} to {high}, and {folder / LABELS_FILE} names {known} classes.")
    if names is None:
        log.warning("%s has no %s: classes are called by their numbers.", folder, LABELS_FILE)
        return tuple(map(str, range(known)))
    return ("background", *names) if begins_at_one else names
