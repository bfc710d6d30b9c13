"""Record files that were not converted here: any usual layout, without info.json. No TensorFlow."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import file_pattern, tfds
from datasets.errors import DataError, unknown_name
from datasets.foreign_labels import KnownClasses, known_classes, labels_of_numbers, labels_of_text, listed
from datasets.record_files import check_shards, find_any_record_files
from datasets.record_format import RecordFormat, find_format, label_counts
from datasets.scan import FileScan, merge, scan_files
from datasets.sources import OnProgress
from datasets.spec import INFO_FILE, LABELS_FILE, DatasetSpec
from datasets.storage import is_url

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordsAsTold:
    """What the user says of records.

    Attributes:
      file_pattern: of the files of the split; ``%s`` stands for its name, as in research/slim.
      image_key: key of the image.
      label_key: key of the label.
      text_key: key of the class name, to be the label.
      labels_offset: subtracted from labels: 1 says that they begin at 1.
      trained_classes: class names of the training that is evaluated, for folders that name none.
      classes: class names by a module of the user, for folders that name none.
      classes_from: what names that module, for errors.
      num_samples: number of records of the split by that module.
    """

    file_pattern: str | None = None
    image_key: str | None = None
    label_key: str | None = None
    text_key: str | None = None
    labels_offset: int = 0
    trained_classes: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    classes_from: str = ""
    num_samples: int | None = None

    @classmethod
    def of(cls, flags: Any, **more: Any) -> RecordsAsTold:
        """Return what an object with attributes of these names says, such as the options of a command."""
        named = {name: getattr(flags, name) for name in ("file_pattern", "image_key", "label_key", "text_key")}
        return cls(**named, labels_offset=flags.labels_offset or 0, **more)

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

    Classes have the same numbers in all splits: without class names, the records of all splits are read to number them.

    Raises:
      DataError: there are no such files, they are damaged, or it is not clear what their image and label are.
    """
    if is_url(folder):
        raise DataError(
            f"--dataset_dir={folder}: records of other tools, without info.json, are read on this machine only. "
            "Copy the folder, write info.json with inspect_dataset --write_info, and upload it."
        )
    files, others = foreign_files(name, split_name, folder, told, flag)
    scans = scan_files(files, on_progress)
    own = merge(scans.values())
    where = folder / (told.file_pattern or files[0].name)
    if not own.records:
        raise DataError(
            f"{where} holds no records, and {folder / INFO_FILE} is missing: the folder holds no finished data set. "
            "Make one with download_and_convert_data."
        )
    _refuse_empty_files(scans)
    features = tfds.read_features(folder)
    found = _format(own, where, told, features)
    counts = label_counts(own, found)
    if sum(counts.values()) < own.records:
        raise DataError(f"{where}: {found.label_key} holds too many or too long values to be a label.")
    _refuse_other_kinds(scans, found)
    module = KnownClasses(told.classes, told.classes_from)
    classes = known_classes(folder, found.label_key, features, told.trained_classes, module)
    if found.label_kind == "one_hot":
        width = own.keys[found.label_key].most
        labels = classes.names if classes.names and len(classes.names) == width else tuple(map(str, range(width)))
    else:
        are_text = found.label_kind == "text"
        # Labels without 0 may begin at 1: only those of all splits can tell.
        is_clear = classes.names and (are_text or classes.is_trained or "0" in counts)
        everywhere = counts if is_clear else counts | _elsewhere(others, found, folder, on_progress)
        if missing := sorted(set(everywhere) - set(counts)):
            log.warning("%s lacks classes of other splits: %s.", where, listed(missing))
        if are_text:
            labels = labels_of_text(classes, everywhere, where)
        else:
            labels = labels_of_numbers(classes, everywhere, told.labels_offset, folder, where)
    stored = labels if found.label_kind == "text" else map(str, range(len(labels)))
    return DatasetSpec(
        name=name or folder.resolve().name,
        split_name=split_name,
        dataset_dir=str(folder),
        files=tuple(map(str, files)),
        num_classes=len(labels),
        num_samples=own.records,
        labels=labels,
        class_counts=tuple(counts.get(label, 0) for label in stored),
        records=found,
        file_pattern=told.file_pattern,
    )


def foreign_files(
    name: str | None, split_name: str, folder: Path, told: RecordsAsTold, flag: str = ""
) -> tuple[list[Path], list[Path]]:
    """Return the files of a split, and those of the others.

    Raises:
      DataError: there is no such split, or a shard is missing.
    """
    if told.file_pattern:
        files = file_pattern.files_of_split(folder, told.file_pattern, split_name)
        reached = file_pattern.files_of_all_splits(folder, told.file_pattern)
        return files, [path for path in reached if path not in files]
    splits = _splits(name, folder)
    if split_name not in splits:
        raise DataError(unknown_name(f"--{flag}" if flag else "split", split_name, splits, f" of {folder}"))
    for paths in splits.values():
        check_shards(paths)
    return splits[split_name], [path for split, paths in splits.items() if split != split_name for path in paths]


def _splits(name: str | None, folder: Path) -> dict[str, list[Path]]:
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
    return splits


def _refuse_empty_files(scans: Mapping[Path, FileScan]) -> None:
    for path, scan in scans.items():
        if not scan.records:
            length = "is 0 bytes long" if not path.stat().st_size else "holds no records"
            raise DataError(f"{path} {length}, so it may be truncated. Write it again, or remove it.")


def _format(scan: FileScan, where: Path, told: RecordsAsTold, features: tfds.Features) -> RecordFormat:
    """Return the format of records: by the flags, else by features.json, else by what the records hold."""
    image, label = (key if key in scan.keys else None for key in (features.image_key, features.label_key))
    return find_format(scan, where, told.image_key or image, told.label_key or label, told.text_key)


def _elsewhere(
    others: Sequence[Path], found: RecordFormat, folder: Path, on_progress: OnProgress | None
) -> dict[str, int]:
    """Return the labels in the files of the other splits, with their counts."""
    try:
        scans = scan_files(others, on_progress) if others else {}
        labelled = {path: scan for path, scan in scans.items() if found.label_key in scan.keys}
        _refuse_other_kinds(labelled, found)
    except DataError as error:
        raise DataError(
            f"{str(error).removesuffix('.')}. The records of all splits are read to number the classes: list the "
            f"classes in {folder / LABELS_FILE}, or mend that file."
        ) from error
    return label_counts(merge(labelled.values()), found) if labelled else {}


def _refuse_other_kinds(scans: Mapping[Path, FileScan], found: RecordFormat) -> None:
    """Refuse files whose labels are of another kind than the format says, or too many to be counted."""
    kind = "bytes" if found.label_kind == "text" else "int"
    for path, scan in scans.items():
        key = scan.keys[found.label_key]
        if key.kind != kind or sum(label_counts(scan, found).values()) < key.records:
            raise DataError(f"{path}: {found.label_key} does not hold labels of the same kind as the other files.")
