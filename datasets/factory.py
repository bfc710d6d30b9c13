"""``get_dataset``: a data set folder -> the specification of one of its splits. No TensorFlow here."""

from __future__ import annotations

import os
from pathlib import Path

from datasets import imagenet
from datasets.errors import DataError, unknown_name
from datasets.foreign import RecordsAsTold, foreign_files, open_foreign
from datasets.record_files import check_shards, find_record_files
from datasets.record_format import RecordFormat
from datasets.sources import OnProgress
from datasets.spec import INFO_FILE, DatasetInfo, DatasetSpec, read_info
from datasets.storage import path_of


def get_dataset(
    name: str | None,
    split_name: str,
    dataset_dir: str | os.PathLike[str],
    flag: str = "",
    told: RecordsAsTold | None = None,
    on_progress: OnProgress | None = None,
) -> DatasetSpec:
    """Return the specification of a split on disk (research/slim's function of this name).

    Args:
      name: the start of the file names; None takes what info.json says, or the one data set that the folder holds.
      split_name: ``train``, ``test``, ``validation``, ...
      dataset_dir: the folder.
      flag: that the user has named the split with, for the error.
      told: what the user says of records that were not converted here.
      on_progress: called as ``on_progress(what, done, total, unit)`` while such records are read for the first time.

    Raises:
      DataError: there is no such folder, data set or split (the message lists what there is), info.json is broken, a
        shard is missing, or it is not clear what records of others hold.
    """
    folder = path_of(dataset_dir)
    if not folder.is_dir():
        raise DataError(f"--dataset_dir={folder} does not exist. Make it with download_and_convert_data.")
    told = told or RecordsAsTold()
    if _is_foreign(name, folder, told):
        return open_foreign(name, split_name, folder, told, flag, on_progress)
    info = _info(folder, name)
    found = _record_files(folder, info)
    name = _name(name, info, {found_name for found_name, _ in found if found_name}, folder)
    files = {split: paths for (found_name, split), paths in found.items() if found_name == name}
    if name == imagenet.NAME and not files:
        files = {split: paths for (found_name, split), paths in found.items() if found_name is None}
    if split_name not in files:
        raise DataError(
            unknown_name(f"--{flag}" if flag else "split", split_name, files, f" of data set {name} in {folder}")
        )
    if info.records is None:  # it names each file otherwise
        check_shards(files[split_name])
    if split_name not in info.splits:
        raise DataError(
            f"{folder / INFO_FILE} does not say how many images split {split_name!r} has: num_sample_{split_name} is "
            "missing or 0."
        )
    return DatasetSpec(
        name=name,
        split_name=split_name,
        dataset_dir=str(folder),
        files=tuple(map(str, files[split_name])),
        num_classes=info.num_classes,
        num_samples=info.splits[split_name].num_samples,
        labels=info.labels,
        class_counts=info.splits[split_name].class_counts,
        records=info.records.format if info.records else RecordFormat(),
    )


def split_files(
    name: str | None, split_name: str, dataset_dir: str | os.PathLike[str], told: RecordsAsTold | None = None
) -> list[Path]:
    """Return the files that :func:`get_dataset` would read, without opening them; none if there is no such split."""
    folder, told = path_of(dataset_dir), told or RecordsAsTold()
    try:
        if _is_foreign(name, folder, told):
            return foreign_files(name, split_name, folder, told)[0]
        found = _record_files(folder, _info(folder, name))
    except DataError:
        return []
    of_split = (paths for (of, split), paths in found.items() if split == split_name and name in (None, of))
    return [path for paths in of_split for path in paths]


def _is_foreign(name: str | None, folder: Path, told: RecordsAsTold) -> bool:
    return told.is_anything or (name != imagenet.NAME and not (folder / INFO_FILE).exists())


def _record_files(folder: Path, info: DatasetInfo) -> dict[tuple[str | None, str], list[Path]]:
    if info.records is None:
        return find_record_files(folder)
    files = {(info.name, split): [folder / name for name in names] for split, names in info.records.files.items()}
    for paths in files.values():
        missing = next((path for path in paths if not path.is_file()), None)
        if missing:
            raise DataError(
                f"{folder / INFO_FILE} names the record file {missing.name}, which is missing. "
                "inspect_dataset --write_info --file_pattern=... corrects it."
            )
    return files


def _info(folder: Path, name: str | None) -> DatasetInfo:
    if name == imagenet.NAME and not (folder / INFO_FILE).exists():
        return imagenet.published_info(folder)
    return read_info(folder)


def _name(name: str | None, info: DatasetInfo, names: set[str], folder: Path) -> str:
    if info.name is not None:
        names = {info.name}
    if name is None:
        if len(names) != 1:
            what = f"several data sets: {', '.join(sorted(names))}; name one" if names else "no record files"
            raise DataError(f"{folder} holds {what}.")
        return next(iter(names))
    if name not in names and name != imagenet.NAME:
        raise DataError(unknown_name("data set", name, names, f" in {folder}"))
    return name
