"""Where a record holds its image and its label. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.errors import DataError, unknown_name
from datasets.scan import FileScan, KeyScan

# Usual names, in the order in which they are looked for.
_IMAGE_KEYS = ("image/encoded", "image", "image_raw", "encoded")
_LABEL_KEYS = ("image/class/label", "label", "image/label", "class")
_TEXT_KEYS = ("image/class/text", "class/text", "text")
_FILE_KEYS = ("image/filename", "file_name", "filename", "image/source_id")
# Whole numbers that are no labels.
_NO_LABELS = ("height", "width", "depth", "channels", "size", "id", "index", "xmin", "xmax", "ymin", "ymax")


@dataclass(frozen=True)
class RecordFormat:
    """The keys of a data set's records, as research/slim writes them unless others are found.

    Attributes:
      image_key: of the encoded image.
      label_key: of the label.
      file_key: of the name of the source; records may lack it.
      label_kind: ``number``, ``text`` (a class name) or ``one_hot``.
      compression: of the files: "", GZIP or ZLIB.
    """

    image_key: str = "image/encoded"
    label_key: str = "image/class/label"
    file_key: str = "image/filename"
    label_kind: str = "number"
    compression: str = ""


def find_format(
    scan: FileScan,
    where: Path,
    image_key: str | None = None,
    label_key: str | None = None,
    text_key: str | None = None,
) -> RecordFormat:
    """Return the format of records, with the keys given, or those that alone can be meant.

    Args:
      scan: what the records hold.
      where: for errors.
      image_key: ``--image_key``.
      label_key: ``--label_key``.
      text_key: ``--text_key``: the label is the name of the class under this key.

    Raises:
      DataError: there is no such key, none that could be meant, or several; or a record lacks its image or its
        label.
    """
    if len(scan.compression.split("/")) > 1:
        raise DataError(f"{where}: some files are compressed ({scan.compression.strip('/')}) and others not.")
    always = {name: key for name, key in scan.keys.items() if key.records == scan.records}
    images = {name: key for name, key in always.items() if key.kind == "bytes" and key.images == scan.records}
    _refuse_empty_images(scan, image_key, where)
    image = _named(image_key, "image_key", scan, where)
    image = image or _one_of(images, _IMAGE_KEYS, "an image", "image_key", scan, where)
    text = _named(text_key, "text_key", scan, where)
    label = text or _named(label_key, "label_key", scan, where)
    if label is None:
        labels = {name: key for name, key in always.items() if _may_be_label(name, key)}
        texts = {name: key for name, key in always.items() if name in _TEXT_KEYS and key.counts}
        label = _one_of(labels or texts, (*_LABEL_KEYS, *_TEXT_KEYS), "a label", "label_key", scan, where)
    key = scan.keys[label]
    kind = "text" if key.kind == "bytes" else "number" if key.most == 1 else "one_hot"
    labelled = sum(key.hot.values()) if kind == "one_hot" else key.records if key.most == 1 else 0
    if labelled < scan.records:
        raise DataError(f"{where}: {label} holds one label in {labelled:,} of {scan.records:,} records, not in all.")
    names = (name for name in _FILE_KEYS if name in scan.keys and scan.keys[name].kind == "bytes")
    file = next(names, RecordFormat.file_key)
    return RecordFormat(image, label, file, kind, scan.compression)


def label_counts(scan: FileScan, format_: RecordFormat) -> dict[str, int]:
    """Return label -> number of records; numbers are text."""
    key = scan.keys[format_.label_key]
    return key.hot if format_.label_kind == "one_hot" else key.counts


def label_of(found: Mapping[str, tuple[str, list[Any]]], format_: RecordFormat, labels: Sequence[str]) -> int | None:
    """Return the label of a record; None if it has none, or the name of no class.

    Args:
      found: the features of the record.
      format_: where its label is.
      labels: class names by label.
    """
    if format_.label_key not in found:
        return None
    _, values = found[format_.label_key]
    if format_.label_kind == "one_hot":
        return values.index(max(values))
    if format_.label_kind == "text":
        name = values[0].decode("utf-8", "replace")
        return labels.index(name) if name in labels else None
    return int(values[0])


def _refuse_empty_images(scan: FileScan, image_key: str | None, where: Path) -> None:
    for name in (image_key,) if image_key else _IMAGE_KEYS:
        if name in scan.keys and scan.keys[name].empty is not None:
            raise DataError(f"{where}: record {scan.keys[name].empty} has an empty {name}. Leave it out.")


def _may_be_label(name: str, key: KeyScan) -> bool:
    if name.replace("_", "/").rsplit("/", 1)[-1].lower() in _NO_LABELS or key.least != key.most:
        return False
    return (key.kind == "int" and key.most == 1 and bool(key.counts)) or sum(key.hot.values()) == key.records


def _named(key: str | None, flag: str, scan: FileScan, where: Path) -> str | None:
    if key is not None and key not in scan.keys:
        raise DataError(unknown_name(f"--{flag}", key, scan.keys, f" in {where}"))
    return key


def _one_of(
    candidates: Mapping[str, KeyScan], usual: Sequence[str], what: str, flag: str, scan: FileScan, where: Path
) -> str:
    for name in usual:
        if name in candidates:
            return name
    if len(candidates) == 1:
        return next(iter(candidates))
    if candidates:
        raise DataError(f"{where}: {' and '.join(sorted(candidates))} could each be {what}: name one with --{flag}.")
    raise DataError(f"{where}: no key of the records holds {what}; they have {', '.join(sorted(scan.keys)) or 'none'}.")
