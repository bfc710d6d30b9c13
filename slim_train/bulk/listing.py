"""The images that flags name: class folders, a list, a table or records. No TensorFlow."""

from __future__ import annotations

import collections
import csv
import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from datasets.class_folders import scan
from datasets.errors import DataError
from datasets.examples import features as example_features
from datasets.factory import get_dataset
from datasets.record_files import find_any_record_files
from datasets.record_format import label_of
from datasets.spec import INFO_FILE, DatasetSpec, read_info
from datasets.storage import fault_of, is_url, path_of, shown
from datasets.tfrecords import scan_records
from slim_train.bulk.image_rows import ImageRow, ImageSet
from slim_train.bulk.image_tables import class_names, image_column, open_table_file, partition_values, table_files
from slim_train.bulk.options import ListedImages
from slim_train.bulk.parquet import pyarrow_ready
from slim_train.errors import UsageError
from slim_train.retraining.split import hashed_part

_COLUMNS = ("path", "label", "class", "split")


def list_images(options: ListedImages, on_spark: bool = False) -> ImageSet:
    """Return the images that the flags name.

    Args:
      options: the flags.
      on_spark: whether workers of Spark read the images. They see the same folders, and have no clients of stores.

    Raises:
      UsageError: there are none, or a list is malformed; the message names file and line or column. Or ``on_spark``
        and an image is at a URL.
      DataError: class folders or records cannot be read.
    """
    if options.image_dir:
        images = _of_folders(options)
    elif options.image_list:
        images = _of_list(path_of(options.image_list))
    else:
        images = _of_records(path_of(options.dataset_dir or ""), options.dataset_name)
    if not images.rows:
        raise UsageError(f"--{options.given()[0]}={getattr(options, options.given()[0])} names no image.")
    places = map(images.opener().whole_path, (row.path for row in images.rows))
    if on_spark and (url := next(filter(is_url, places), None)):
        raise UsageError(
            f"Spark requires images that all workers see as files, and {shown(url)} is a URL: mount the store on each "
            "of them, or run without Spark."
        )
    return images


def _of_folders(options: ListedImages) -> ImageSet:
    image_dir = str(options.image_dir)
    try:
        source = scan(path_of(image_dir))
    except DataError as error:  # it names the converter's flag
        raise UsageError(str(error).replace("pic_path", "image_dir").replace("PIC_PATH", "IMAGE_DIR")) from error
    percentages = options.validation_percentage, options.testing_percentage
    rows = [
        ImageRow(name, label, source.classes[label], split if source.is_split else hashed_part(name, *percentages))
        for split, by_class in source.splits.items()
        for label, names in enumerate(by_class)
        for name in names
    ]
    return ImageSet(rows, _root(path_of(image_dir)), classes=source.classes, hashed=not source.is_split)


def _root(folder: Path) -> str:
    """Return an absolute path, in which ``..`` is resolved without a look at links; a URL as it is."""
    return str(folder) if is_url(folder) else os.path.abspath(folder)  # noqa: PTH100


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if is_url(folder) else os.path.relpath(file, folder)


def _of_list(file: Path) -> ImageSet:
    if file.is_dir() or file.suffix.lower() == ".parquet":
        return _of_table(file)
    if not file.is_file():
        raise UsageError(f"--image_list={file} is not a file.")
    try:
        if file.suffix.lower() == ".csv":
            with file.open(encoding="utf-8-sig", newline="") as stream:
                table = csv.DictReader(stream)
                rows = _checked(file, list(table), table.fieldnames or ())
        else:
            lines = (line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines())
            rows = _checked(file, [{"path": line} for line in lines if line], ("path",))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--image_list={file} cannot be read: {error}.") from error
    return _numbered(file, rows)


def _of_table(table: Path) -> ImageSet:
    """Return the images of a Parquet or Delta table: those that it holds, else those whose paths it holds."""
    if not table.exists():
        raise UsageError(f"--image_list={table} does not exist.")
    pyarrow_ready()
    import pyarrow

    rows: list[dict[str, Any]] = []
    try:
        files = table_files(table)
        with open_table_file(files[0]) as parquet:
            schema = parquet.schema_arrow
        column = image_column(schema)
        known = [name for name in _COLUMNS if name in schema.names and not (column and name == "path")]
        root = table if table.is_dir() else table.parent
        for file in files:
            name = _relative(file, root)
            of_file = {key: value for key, value in partition_values(name, _COLUMNS).items() if key not in known}
            with open_table_file(file) as parquet:
                found = parquet.read(columns=known).to_pylist() if known else [{}] * parquet.metadata.num_rows
            if column:
                rows += [{**of_file, **row, "path": f"{name}@{number}"} for number, row in enumerate(found)]
            else:
                rows += [{**of_file, **row} for row in found]
    except (OSError, pyarrow.ArrowException) as error:
        raise UsageError(f"--image_list={table} is not a Parquet file: {error}.") from error
    names = class_names(schema)
    for row in rows if names else ():
        if "class" not in row and isinstance(row.get("label"), int) and 0 <= row["label"] < len(names):
            row["class"] = names[row["label"]]
    columns = [*known, "path"] if column else schema.names
    images = _numbered(table, _checked(table, rows, columns))
    return dataclasses.replace(images, root=_root(root), image_column=column)


def _checked(file: Path, rows: list[dict[str, Any]], columns: Iterable[str]) -> list[dict[str, Any]]:
    if "path" not in columns:
        raise UsageError(
            f"--image_list={file} has no column path, and no column content or image with the bytes of images; its "
            f"columns: {', '.join(columns) or 'none'}."
        )
    for number, row in enumerate(rows, 1):
        if not isinstance(row["path"], str) or not row["path"]:
            raise UsageError(f"--image_list={file}: image {number} has no path.")
        if "://" in row["path"] and (fault := fault_of(row["path"], takes_urls=True)):
            raise UsageError(f"--image_list={file}: {shown(row['path'])} {fault}")
    repeated = [path for path, count in collections.Counter(row["path"] for row in rows).items() if count > 1]
    if repeated:
        raise UsageError(f"--image_list={file} names {repeated[0]} twice; each image may be listed once.")
    return rows


def _numbered(file: Path, rows: list[dict[str, Any]]) -> ImageSet:
    """Give each class a number: that of the list, else its place among the names sorted."""
    named = sorted({str(row["class"]) for row in rows if row.get("class") not in (None, "")})
    number = {name: label for label, name in enumerate(named)}
    images: list[ImageRow] = []
    names_of: dict[int, str] = {}
    for row in rows:
        class_name = None if row.get("class") in (None, "") else str(row["class"])
        label = row.get("label")
        if label in (None, ""):
            label = number[class_name] if class_name is not None else None
        else:
            try:
                label = int(label)
            except (TypeError, ValueError):
                raise UsageError(f"--image_list={file}: label {label!r} of {row['path']} is not a number.") from None
            if label < 0:
                raise UsageError(f"--image_list={file}: label {label} of {row['path']} is negative.")
        if label is not None and class_name is not None and names_of.setdefault(label, class_name) != class_name:
            raise UsageError(f"--image_list={file}: label {label} is both {names_of[label]!r} and {class_name!r}.")
        images.append(ImageRow(row["path"], label, class_name, row.get("split") or None))
    most = max((image.label for image in images if image.label is not None), default=-1)
    classes = tuple(names_of.get(label, str(label)) for label in range(most + 1)) if most < len(images) else ()
    return ImageSet(images, _root(file.parent), classes=classes)


def _of_records(folder: Path, name: str | None) -> ImageSet:
    rows: list[ImageRow] = []
    labels: tuple[str, ...] = ()
    image_key = ""
    for split in _splits(folder, name):
        dataset = get_dataset(name, split, folder)
        labels, image_key = dataset.labels, dataset.records.image_key
        rows += _records_of(dataset, folder)
    return ImageSet(rows, _root(folder), image_key, classes=labels)


def _splits(folder: Path, name: str | None) -> list[str]:
    if not folder.is_dir():
        raise UsageError(f"--dataset_dir={folder} is not a folder.")
    if (folder / INFO_FILE).is_file():
        return list(read_info(folder).splits)
    found = find_any_record_files(folder)
    if not found:
        raise UsageError(f"--dataset_dir={folder} holds no TFRecords.")
    return list(dict.fromkeys(split for of, split in found if name in (None, of)))


def _records_of(dataset: DatasetSpec, folder: Path) -> Iterator[ImageRow]:
    for file in dataset.files:
        for offset, record in scan_records(file):
            label = label_of(example_features(record), dataset.records, dataset.labels)
            is_known = label is not None and 0 <= label < len(dataset.labels)
            class_name = dataset.labels[label] if label is not None and is_known else None
            yield ImageRow(f"{_relative(path_of(file), folder)}@{offset}", label, class_name, dataset.split_name)
