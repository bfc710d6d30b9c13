"""Parquet and Delta tables that hold the bytes of images, as binaryFile and Hugging Face write. No TensorFlow."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets.storage import files_below, is_url, path_of
from slim_train.errors import UsageError

_NAMES = ("content", "image")
_BYTES = "bytes"
_DELTA_LOG = "_delta_log"


def table_files(table: Path) -> list[Path]:
    """Return the Parquet files of a table: itself, those of a folder, or those of the newest version of a Delta table.

    Raises:
      UsageError: there are none, or the table cannot be read without Spark.
    """
    if not table.is_dir():
        return [table]
    if (table / _DELTA_LOG).is_dir():
        return _delta_files(table)
    below = [file for file in files_below(table) if file.suffix == ".parquet"]
    files = [file for file in below if not any(map(_is_hidden, file.relative_to(table).parts))]
    if not files:
        raise UsageError(f"--image_list={table} is a folder without Parquet files.")
    return sorted(files)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _delta_files(table: Path) -> list[Path]:
    if is_url(table):
        raise UsageError(f"--image_list={table} is a Delta table at a URL: copy it to this machine, or use Spark.")
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise UsageError(
            f'--image_list={table} is a Delta table ({error}): pip install "slim-train[delta]".'
        ) from error
    try:
        opened = DeltaTable(table)
        if "deletionVectors" in (opened.protocol().reader_features or ()):
            raise UsageError(
                f"--image_list={table} uses deletion vectors: write a copy with "
                "delta.enableDeletionVectors=false, or as plain Parquet."
            )
        return sorted(Path(uri.removeprefix("file://")) for uri in opened.file_uris())
    except DeltaError as error:
        raise UsageError(f"--image_list={table} cannot be read as a Delta table: {error}.") from error


def partition_values(file: str, columns: Sequence[str]) -> dict[str, str]:
    """Return the columns that the folders of a partitioned table give to a file: ``split=train/label=0/a.parquet``.

    Args:
      file: relative to the table.
      columns: to look for.
    """
    import pyarrow
    import pyarrow.dataset

    schema = pyarrow.schema([(column, pyarrow.string()) for column in columns])
    found = pyarrow.dataset.partitioning(schema, flavor="hive").parse(file)
    return {name: value for name, value in pyarrow.dataset.get_partition_keys(found).items() if value is not None}


def image_column(schema: Any) -> str:
    """Return the column of a schema that holds images, such as ``content`` or ``image.bytes``; "" if there is none."""
    import pyarrow

    def holds_bytes(kind: Any) -> bool:
        return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)

    for name in _NAMES:
        if name in schema.names:
            kind = schema.field(name).type
            if holds_bytes(kind):
                return name
            if pyarrow.types.is_struct(kind) and kind.get_field_index(_BYTES) >= 0 and holds_bytes(kind[_BYTES].type):
                return f"{name}.{_BYTES}"
    return ""


def class_names(schema: Any) -> tuple[str, ...]:
    """Return the names of labels that Hugging Face's ``datasets`` has left in a schema; empty if there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(map(str, features["label"]["names"]))
    except (KeyError, TypeError, ValueError):
        return ()


@contextlib.contextmanager
def open_table_file(file: Path) -> Iterator[Any]:
    """Yield a Parquet file, on this machine or at a URL, as pyarrow reads it.

    Raises:
      OSError: the file cannot be read.
    """
    import pyarrow.parquet

    opened = file.open("rb") if is_url(file) else contextlib.nullcontext(file)
    with opened as source, pyarrow.parquet.ParquetFile(source) as parquet:
        yield parquet


def read_images(file: str, column: str, wanted: Collection[int]) -> dict[int, bytes]:
    """Return the images in some rows of a file, by row; row groups without such a row are not read.

    Raises:
      OSError: the file cannot be read.
    """
    found, start = {}, 0
    with open_table_file(path_of(file)) as parquet:
        for group in range(parquet.num_row_groups):
            end = start + parquet.metadata.row_group(group).num_rows
            rows = [row for row in wanted if start <= row < end]
            if rows:
                values = parquet.read_row_group(group, columns=[column]).column(0)
                for row in rows:
                    value = values[row - start].as_py()
                    data = value[_BYTES] if isinstance(value, dict) else value
                    if data is not None:
                        found[row] = data
            start = end
    return found
