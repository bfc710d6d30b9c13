"""What a data set on disk is: ``DatasetInfo`` for a folder (info.json and labels.txt), ``DatasetSpec`` for one split.

No TensorFlow here. A folder is finished when it holds info.json: the converter writes that file last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from datasets.errors import DataError
from datasets.files import replacing
from datasets.record_copies import CopySettings
from datasets.record_format import RecordFormat
from datasets.storage import path_of

INFO_FILE = "info.json"
LABELS_FILE = "labels.txt"
_NUM_SAMPLES = "num_sample_"
# Old readers look for these two whether or not the data set has the split.
_SPLITS_ALWAYS_NAMED = ("train", "test")


@dataclass(frozen=True)
class DatasetSpec:
    """One split of a data set: all that reading it needs.

    Attributes:
      name: the start of its file names.
      split_name: ``train``, ``test``, ``validation``, ...
      dataset_dir: the folder.
      files: paths of its TFRecord files, sorted.
      num_classes: the true number of classes; labels run from 0 to ``num_classes - 1``.
      num_samples: images in this split.
      labels: class names by label.
      class_counts: images per class in this split; None if the folder does not say.
      records: where the records hold image and label.
      file_pattern: pattern that the user named the files with, or None.
      copies: which of the files are copied to this machine to read them.
    """

    name: str
    split_name: str
    dataset_dir: str
    files: tuple[str, ...]
    num_classes: int
    num_samples: int
    labels: tuple[str, ...]
    class_counts: tuple[int, ...] | None = None
    records: RecordFormat = field(default_factory=RecordFormat)
    file_pattern: str | None = None
    copies: CopySettings = field(default_factory=CopySettings)


@dataclass(frozen=True)
class SplitInfo:
    """Images in a split, in all and (where known) per class."""

    num_samples: int
    class_counts: tuple[int, ...] | None = None


@dataclass(frozen=True)
class StoredRecords:
    """Record files of another tool.

    Attributes:
      format: where they hold image and label.
      files: split -> paths relative to the folder.
    """

    format: RecordFormat
    files: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class DatasetInfo:
    """What info.json and labels.txt say of a data set folder.

    Attributes:
      name: the start of its file names; None in folders of the old converter.
      labels: class names by label.
      splits: the splits that hold images, by name.
      image_sizes: smallest and largest (height, width), each side by itself; None if unknown.
      settings: how it was made: seed, test_fraction, split_by, num_shards, num_rejected. Empty for old folders.
      records: files and keys of records that were not converted here; None for those that were.
    """

    name: str | None
    labels: tuple[str, ...]
    splits: Mapping[str, SplitInfo]
    image_sizes: tuple[tuple[int, int], tuple[int, int]] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    records: StoredRecords | None = None

    @property
    def num_classes(self) -> int:
        """The true number of classes."""
        return len(self.labels)


def read_info(folder: str | os.PathLike[str]) -> DatasetInfo:
    """Read info.json and labels.txt of a data set folder, or of a training folder that holds copies of them.

    The old converter's info.json (``num_class``, ``num_sample_train``, ``num_sample_test`` and no more) is read too. A
    folder without labels.txt has the labels' numbers for class names.

    Raises:
      DataError: info.json is missing or broken, or the two files disagree; the message names file and values.
    """
    folder = path_of(folder)
    path = folder / INFO_FILE
    content = _read_json(path)
    num_classes = _whole_number(content, "num_class", path, at_least=1)
    labels_path = folder / LABELS_FILE
    labels = read_labels(labels_path) if labels_path.exists() else tuple(str(label) for label in range(num_classes))
    if len(labels) != num_classes:
        raise DataError(
            f"{path} says num_class={num_classes}, and {labels_path} lists {len(labels)} classes: "
            "correct the wrong one, or convert the data again with --overwrite."
        )
    name, settings = content.get("name"), content.get("settings", {})
    if not isinstance(name, str | None) or not isinstance(settings, dict):
        raise DataError(f"{path}: name must be text and settings an object, got {name!r} and {settings!r}.")
    splits, sizes, records = _splits(content, labels, path), _image_sizes(content, path), _records(content, path)
    return DatasetInfo(name, labels, splits, sizes, settings, records)


def write_info(folder: str | os.PathLike[str], info: DatasetInfo) -> None:
    """Write labels.txt, then info.json, each atomically."""
    folder = path_of(folder)
    write_labels(folder / LABELS_FILE, info.labels)
    content: dict[str, Any] = {"name": info.name, "num_class": info.num_classes}
    for split_name in dict.fromkeys((*_SPLITS_ALWAYS_NAMED, *info.splits)):
        content[_NUM_SAMPLES + split_name] = info.splits[split_name].num_samples if split_name in info.splits else 0
    content["splits"] = {
        split_name: {
            "num_samples": split.num_samples,
            "class_counts": None
            if split.class_counts is None
            else dict(zip(info.labels, split.class_counts, strict=True)),
        }
        for split_name, split in info.splits.items()
    }
    if info.image_sizes:
        content["image_sizes"] = {"smallest": list(info.image_sizes[0]), "largest": list(info.image_sizes[1])}
    content["settings"] = dict(info.settings)
    if info.records:
        content["records"] = {**asdict(info.records.format), "files": dict(info.records.files)}
    _write_text(folder / INFO_FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the class names of a labels.txt (``0:angry`` lines), by label.

    Raises:
      DataError: the file cannot be read, a line has another form, or the labels are not 0, 1, 2, ...
    """
    try:
        # Not splitlines: a class name may hold one of the rarer line separators.
        lines = path_of(path).read_text(encoding="utf-8-sig").replace("\r\n", "\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read {path}: {error}.") from error
    names: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        label, colon, name = line.partition(":")
        if not colon or not label.strip().isdecimal():
            raise DataError(f"{path}, line {number}: expected 'LABEL:NAME', got {line!r}.")
        if int(label) in names:
            raise DataError(f"{path}, line {number}: label {int(label)} has a second name, {name!r}.")
        names[int(label)] = name
    if sorted(names) != list(range(len(names))):
        missing = next(label for label in range(len(names) + 1) if label not in names)
        raise DataError(f"{path}: labels must be 0 to {len(names) - 1} without gaps; {missing} is missing.")
    return tuple(names[label] for label in range(len(names)))


def write_labels(path: str | os.PathLike[str], labels: Sequence[str]) -> None:
    """Write a labels.txt, atomically."""
    _write_text(path_of(path), "".join(f"{label}:{name}\n" for label, name in enumerate(labels)))


def _splits(content: Mapping[str, Any], labels: Sequence[str], path: Path) -> dict[str, SplitInfo]:
    counts = {
        key.removeprefix(_NUM_SAMPLES): _whole_number(content, key, path)
        for key in content
        if key.startswith(_NUM_SAMPLES)
    }
    splits = {name: SplitInfo(count) for name, count in counts.items() if count}
    details = content.get("splits", {})
    if not isinstance(details, dict) or not all(isinstance(detail, dict) for detail in details.values()):
        raise DataError(f"{path}: splits must map each split to its num_samples and class_counts, got {details!r}.")
    for name, detail in details.items():
        num_samples = _whole_number(detail, "num_samples", path)
        if num_samples != counts.get(name, num_samples):
            raise DataError(f"{path}: {_NUM_SAMPLES}{name}={counts[name]}, and splits.{name} says {num_samples}.")
        splits[name] = SplitInfo(num_samples, _class_counts(detail, name, labels, path))
    return splits


def _class_counts(
    detail: Mapping[str, Any], split_name: str, labels: Sequence[str], path: Path
) -> tuple[int, ...] | None:
    counts = detail.get("class_counts")
    if counts is None:
        return None
    if not isinstance(counts, dict) or set(counts) != set(labels):
        named = ", ".join(counts) if isinstance(counts, dict) else counts
        raise DataError(
            f"{path}: class_counts of split {split_name} names the classes {named}, and {LABELS_FILE} lists "
            f"{', '.join(labels)}."
        )
    by_label = tuple(_whole_number(counts, label, path) for label in labels)
    if sum(by_label) != detail["num_samples"]:
        raise DataError(
            f"{path}: split {split_name} has num_samples={detail['num_samples']}, and its class_counts add up to "
            f"{sum(by_label)}."
        )
    return by_label


def _image_sizes(content: Mapping[str, Any], path: Path) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if "image_sizes" not in content:
        return None
    try:
        (min_height, min_width), (max_height, max_width) = (
            map(int, content["image_sizes"][which]) for which in ("smallest", "largest")
        )
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}: image_sizes must give smallest and largest as [height, width].") from None
    return (min_height, min_width), (max_height, max_width)


def _records(content: Mapping[str, Any], path: Path) -> StoredRecords | None:
    if "records" not in content:
        return None
    try:
        values = dict(content["records"])
        files = {str(split): tuple(map(PurePosixPath, names)) for split, names in values.pop("files").items()}
        format_ = RecordFormat(**values)
        is_text = all(isinstance(value, str) for value in asdict(format_).values())
    except (AttributeError, KeyError, TypeError, ValueError):
        is_text = False
    # Files elsewhere are no part of a data set that may come from anywhere.
    if not is_text or any(name.is_absolute() or ".." in name.parts for names in files.values() for name in names):
        raise DataError(
            f"{path}: records must name the keys of the records, and the files of each split below the folder. "
            "inspect_dataset --write_info writes it."
        )
    return StoredRecords(format_, {split: tuple(map(str, names)) for split, names in files.items()})


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing: the folder holds no finished data set. Make one with download_and_convert_data."
        ) from None
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise DataError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold an object with num_class and num_sample_train, not {content!r}.")
    return content


def _whole_number(content: Mapping[str, Any], key: str, path: Path, at_least: int = 0) -> int:
    value = content.get(key)
    if type(value) is not int or value < at_least:
        got = "is missing" if key not in content else f"must be a whole number of at least {at_least}, got {value!r}"
        raise DataError(f"{path}: {key} {got}.")
    return value


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
