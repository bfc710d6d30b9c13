"""The Parquet files of a job: one per part of the images, each whole or absent. No TensorFlow.

A file is written under a temporary name, synced and renamed. Its name is a digest of the images in it, so a part that
is computed twice replaces itself, and each image is in the output once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.files import replacing, replacing_synced
from slim_train.bulk.image_rows import ImageRow
from slim_train.errors import UsageError
from slim_train.retraining.bottlenecks import Features

MODEL_FILE = "_model.json"
COLUMNS = ("path", "label", "class", "split", "error")
_PREFIX = "part-"
_JOB = ".job-"


def pyarrow_ready() -> None:
    """Check that pyarrow is installed.

    Raises:
      UsageError: it is not.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("Parquet requires pyarrow: pip install 'slim-train[parquet]'.")


def part_name(rows: Sequence[ImageRow]) -> str:
    """Return the file name of a part, which depends on its images only."""
    digest = hashlib.blake2b(digest_size=10)
    for row in rows:
        digest.update(os.fsencode(row.path) + b"\0")
    return f"{_PREFIX}{digest.hexdigest()}.parquet"


def part_files(folder: Path) -> list[Path]:
    """Return the finished parts in a folder, sorted by name."""
    return sorted(folder.glob(f"{_PREFIX}*.parquet"))


def write_part(
    path: Path,
    rows: Sequence[ImageRow],
    vectors: Mapping[str, Features],
    errors: Sequence[str | None],
) -> None:
    """Write the rows of a part. Vectors of rejected images are null.

    Raises:
      OSError: the file cannot be written.
    """
    whole = np.array([error is None for error in errors], bool)
    write_rows(path, rows, {name: _lists(values, whole) for name, values in vectors.items()}, errors)


def write_rows(path: Path, rows: Sequence[ImageRow], results: Mapping[str, Any], errors: Sequence[str | None]) -> None:
    """Write the rows of a part with columns of results, arrays of pyarrow.

    Raises:
      OSError: the file cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    columns = {
        "path": pyarrow.array([stored_path(row.path) for row in rows], pyarrow.string()),
        "label": pyarrow.array([row.label for row in rows], pyarrow.int32()),
        "class": pyarrow.array([row.class_name for row in rows], pyarrow.string()),
        "split": pyarrow.array([row.split for row in rows], pyarrow.string()),
        **results,
        "error": pyarrow.array(list(errors), pyarrow.string()),
    }
    with replacing_synced(path) as file:
        pyarrow.parquet.write_table(pyarrow.table(columns), file)


def _lists(values: Features, whole: NDArray[np.bool_]) -> Any:
    import pyarrow

    offsets = np.concatenate([[0], np.cumsum(np.where(whole, values.shape[1], 0))]).astype(np.int32)
    flat = pyarrow.array(values[whole].reshape(-1), pyarrow.float32())
    return pyarrow.ListArray.from_arrays(pyarrow.array(offsets), flat, mask=pyarrow.array(~whole))


def stored_path(path: str) -> str:
    """Return a path that Parquet can hold: bytes that are not UTF-8 are escaped."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def stored_paths(folder: Path) -> Iterator[str]:
    """Yield the images that the finished parts hold.

    Raises:
      UsageError: a part cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    for path in part_files(folder):
        try:
            yield from pyarrow.parquet.read_table(path, columns=["path"])["path"].to_pylist()
        except (OSError, KeyError, pyarrow.ArrowException) as error:
            raise UsageError(f"{path} cannot be read ({error}). Delete it; the next run computes it again.") from error


def prepare_folder(folder: Path, facts: Mapping[str, Any], overwrite: bool, flag: str = "output_dir") -> None:
    """Make the output folder ready: new, or one that holds results of the same job.

    Args:
      folder: the output folder.
      facts: what the results depend on, for ``_model.json``.
      overwrite: delete earlier results.
      flag: that names the folder.

    Raises:
      UsageError: the folder holds something else, results of another model, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise UsageError(f"--{flag}: cannot make the folder {folder}: {error.strerror}.") from error
    if names and MODEL_FILE not in names and not all(name.startswith(".") for name in names):
        raise UsageError(f"--{flag}={folder} holds other files, such as {min(names)}: name a new folder.")
    sweep(folder)
    if overwrite:
        for path in part_files(folder):
            path.unlink()
        (folder / MODEL_FILE).unlink(missing_ok=True)
    if (folder / MODEL_FILE).is_file():
        _check_same(f"--{flag}={folder}", read_model(folder), facts)
        return
    with replacing(folder / MODEL_FILE) as temporary:
        temporary.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_model(folder: Path) -> dict[str, Any]:
    """Return the content of ``_model.json``.

    Raises:
      UsageError: it is missing or broken.
    """
    path = folder / MODEL_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{folder} holds no {MODEL_FILE}: it is not an output of extract_features.") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} does not describe a model.")
    return content


def _check_same(where: str, stored: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    # Names and paths are left out: the same weights and images may lie elsewhere.
    for key, value in facts.items():
        if key not in ("model", "flags", "images") and stored.get(key) != json.loads(json.dumps(value)):
            raise UsageError(
                f"{where} holds results with another {key.replace('_', ' ')}: {stored.get(key)}, not "
                f"{value}. Name a new folder, or set --overwrite."
            )


@contextmanager
def job_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder in the output for what tasks read; it is removed at the end."""
    job = folder / f"{_JOB}{os.urandom(4).hex()}"
    job.mkdir()
    try:
        yield job
    finally:
        shutil.rmtree(job, ignore_errors=True)


def sweep(folder: Path, jobs: bool = True) -> None:
    """Delete temporary files of tasks, and folders of jobs, that were killed."""
    for path in folder.glob(f".{_PREFIX}*.parquet"):
        path.unlink(missing_ok=True)
    for path in folder.glob(f"{_JOB}*") if jobs else ():
        shutil.rmtree(path, ignore_errors=True)
