"""The split that the options of a command name, opened with progress."""

from __future__ import annotations

import dataclasses
import logging
import os

from datasets.converted_folder import data_set_of
from datasets.factory import get_dataset
from datasets.foreign import RecordsAsTold
from datasets.record_copies import CopySettings
from datasets.spec import DatasetSpec
from deployment.threads import available_cpus
from slim_train import own_packages
from slim_train.errors import UsageError
from slim_train.progress import ProgressBars
from slim_train.training_options import RecordCacheOptions
from slim_train.user_code.data_sets import find_dataset_module

log = logging.getLogger(__name__)


def open_split(
    name: str | None,
    split_name: str,
    dataset_dir: str | os.PathLike[str],
    flag: str,
    told: RecordsAsTold,
    dataset_file: str | None = None,
    cache: RecordCacheOptions | None = None,
) -> DatasetSpec:
    """Open a split; class folders are converted first, and records of other tools read.

    Args:
      name: of the data set; None for the one that the folder holds.
      split_name: of the split.
      dataset_dir: the folder.
      flag: that names the split, for errors.
      told: what the user says of records.
      dataset_file: file of a module that describes them.
      cache: where record files are copied to, to read them.

    Raises:
      DataError: the data set is missing or malformed.
      UsageError: the user's module does not work.
    """
    module = find_dataset_module(dataset_file, name)
    if module:
        told = module.told(split_name, str(dataset_dir), told)
    said = told.num_samples
    with ProgressBars() as progress:
        folder = data_set_of(dataset_dir, _conversion_processes(), progress.update)
        if folder != str(dataset_dir):
            told = RecordsAsTold()  # the records are ours: evaluation may have the flags from a training on others
        dataset = get_dataset(name, split_name, folder, flag, told, progress.update)
    if module and said not in (None, dataset.num_samples):
        log.warning(
            "%s says that split %s has %d records; it has %d.", module.flag, split_name, said, dataset.num_samples
        )
    if cache is None:
        return dataset
    return dataclasses.replace(dataset, copies=CopySettings(cache.cache_dir, round(cache.cache_max_gb * 1e9)))


def check_server(master: str, dataset: DatasetSpec) -> None:
    """Check that a server that the user started can read the records: copies are made by this process.

    Args:
      master: address of the server; "" for none.
      dataset: the split to read.

    Raises:
      UsageError: it cannot.
    """
    copied = next(filter(dataset.copies.applies_to, dataset.files), None)
    if master and copied:
        raise UsageError(
            f"--master={master} and {copied} cannot be combined: only this process copies records. Use gs://, or a "
            "folder that the server sees, without --cache_dir."
        )


def _conversion_processes() -> int:
    """Return how many processes may convert: a script of a user would run again in each that is started."""
    return available_cpus() if own_packages.is_command() else 1
