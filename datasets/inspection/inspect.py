"""``inspect``: a folder of records or of class folders -> what it is, and what is wrong with it. No TensorFlow."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

from datasets.duplicates.fingerprints import NEAR, check_imagehash
from datasets.duplicates.groups import DISTANCE
from datasets.errors import DataError
from datasets.foreign import RecordsAsTold
from datasets.inspection.of_folders import inspect_folders
from datasets.inspection.of_records import inspect_records
from datasets.inspection.reading import Request
from datasets.inspection.record_set import find_records
from datasets.inspection.result import Inspection
from datasets.sources import OnProgress
from datasets.storage import path_of


def inspect(
    dataset_dir: str | os.PathLike[str],
    name: str | None = None,
    told: RecordsAsTold | None = None,
    *,
    decode: bool = False,
    per_class: int = 5,
    num_workers: int = 1,
    write_info: bool = False,
    on_progress: OnProgress | None = None,
    compare: str = "",
    distance: int = DISTANCE,
) -> Inspection:
    """Return what a data set is, and what is wrong with it.

    Args:
      dataset_dir: folder of record files or of class folders; or one record file.
      name: name of the data set, if the folder holds record files of several.
      told: what the user says of records of other tools.
      decode: whether to decode every image in full; otherwise headers are read.
      per_class: how many of the first images of each class to return.
      num_workers: processes that read.
      write_info: whether to write info.json and labels.txt of records.
      on_progress: called as ``on_progress(what, done, total, unit)``.
      compare: by what duplicates are looked for: bytes, pixels or near, each with those before it; "" if they are not.
      distance: bits of 64 in which perceptual hashes of near-duplicates may differ.

    Raises:
      DataError: there is no data set that could be inspected.
    """
    began = time.monotonic()
    folder, told = path_of(dataset_dir), told or RecordsAsTold()
    if not folder.exists():
        raise DataError(f"The data set folder {folder} does not exist.")
    if folder.is_file():
        folder, told = folder.parent, dataclasses.replace(told, file_pattern=_escaped(folder.name))
    if compare == NEAR:
        check_imagehash("--duplicates=near")
    request = Request(decode, per_class, num_workers, on_progress, compare, distance)
    files = find_records(folder, name, told)
    if files:
        inspection = inspect_records(files, told, request, write_info)
    else:
        inspection = inspect_folders(folder, request)
        _refuse_flags_of_records(folder, told, write_info)
    return dataclasses.replace(inspection, seconds=time.monotonic() - began)


def _refuse_flags_of_records(folder: Path, told: RecordsAsTold, write_info: bool) -> None:
    given = {"image_key": told.image_key, "label_key": told.label_key, "text_key": told.text_key}
    for flag in (*(flag for flag, value in given.items() if value), *(["write_info"] if write_info else [])):
        raise DataError(
            f"--{flag} is for records, and {folder} holds class folders. download_and_convert_data makes records of "
            "them, with info.json and labels.txt."
        )


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
