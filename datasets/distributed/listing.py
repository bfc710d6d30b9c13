"""Tasks that list class folders: the files of each, with the keys by which they are ordered. No TensorFlow."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from datasets.class_folders import list_class_folder
from datasets.distributed.job import Settings, read_folders, read_json, read_settings, write_json
from datasets.files import replacing_synced
from datasets.splits import is_below, nfc, order_key, split_key

_MOST_TASKS = 64
_ROWS = 65_536


def num_listings(num_folders: int) -> int:
    """Return the number of tasks that share the class folders."""
    return min(num_folders, _MOST_TASKS)


def list_folders(job: Path, number: int) -> str:
    """List a share of the class folders into a file.

    Returns:
      JSON: for each class folder the name of its class, the number of files, how many of them their name
      alone sends to the test split, what was ignored, and a warning.

    Raises:
      DataError: a folder cannot be listed, or has a name that cannot be a class.
    """
    import pyarrow
    import pyarrow.parquet

    settings, folders = read_settings(job), read_folders(job)
    count = num_listings(len(folders))
    first, end = (len(folders) * edge // count for edge in (number, number + 1))
    found = []
    path = listing_file(job, number)
    path.parent.mkdir(exist_ok=True)
    with replacing_synced(path) as file, pyarrow.parquet.ParquetWriter(file, _schema()) as writer:
        for index in range(first, end):
            names = list[str]()
            listed = list_class_folder(Path(settings.root), folders[index].path, names.append, Path(settings.exclude))
            names = sorted(names) if listed.class_name else []
            for start in range(0, len(names), _ROWS):
                writer.write_batch(_batch(index, names[start : start + _ROWS], settings))
            below = sum(is_below(name, settings.test_fraction, settings.split_by) for name in names)
            found.append((listed.class_name, len(names), below, dict(listed.passed_over), listed.warning))
    return json.dumps(found)


def listing_file(job: Path, number: int) -> Path:
    """Return the file that :func:`list_folders` writes."""
    return job / "listing" / f"{number:05d}.parquet"


def names_of(job: Path, listings: int, folders: Sequence[int]) -> list[str]:
    """Return the files that were listed in some of the class folders."""
    import pyarrow.compute
    import pyarrow.parquet

    wanted = pyarrow.array(folders, pyarrow.int32())
    names: list[str] = []
    for number in range(listings):
        table = pyarrow.parquet.read_table(listing_file(job, number), columns=["folder", "name"])
        found = table.filter(pyarrow.compute.is_in(table["folder"], value_set=wanted))
        names += map(os.fsdecode, found["name"].to_pylist())
    return names


def write_excluded(job: Path, names: Collection[str]) -> None:
    """Write the images that are listed and not to be used."""
    write_json(job / "excluded.json", sorted(names))


def read_excluded(job: Path) -> frozenset[bytes]:
    """Return the images that are listed and not to be used."""
    path = job / "excluded.json"
    return frozenset(map(os.fsencode, read_json(path))) if path.exists() else frozenset()


def _schema() -> Any:
    import pyarrow

    key = pyarrow.binary()
    # nfc: the name in the form that decides between equal keys, or null if it is the name.
    types = {"folder": pyarrow.int32(), "name": key, "nfc": key, "split_key": key, "order_key": key}
    return pyarrow.schema(list(types.items()))


def _batch(folder: int, names: Sequence[str], settings: Settings) -> Any:
    import pyarrow

    columns = [
        [folder] * len(names),
        list(map(os.fsencode, names)),
        [None if nfc(name) == name else nfc(name).encode("utf-8", "surrogatepass") for name in names],
        [split_key(name, settings.seed, settings.split_by) for name in names] if settings.is_divided else None,
        [order_key(name, settings.seed) for name in names],
    ]
    schema = _schema()
    arrays = [
        pyarrow.nulls(len(names), field.type) if column is None else pyarrow.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pyarrow.RecordBatch.from_arrays(arrays, schema=schema)
