"""The split that the options of a command name, opened with progress. No TensorFlow."""

from __future__ import annotations

import os

from datasets.converted_folder import data_set_of
from datasets.factory import get_dataset
from datasets.foreign import RecordsAsTold
from datasets.spec import DatasetSpec
from deployment.threads import available_cpus
from slim_train import own_packages
from slim_train.progress import ProgressBars


def open_split(
    name: str | None, split_name: str, dataset_dir: str | os.PathLike[str], flag: str, told: RecordsAsTold
) -> DatasetSpec:
    """Open a split; class folders are converted first, and records of other tools read.

    Args:
      name: of the data set; None for the one that the folder holds.
      split_name: of the split.
      dataset_dir: the folder.
      flag: that names the split, for errors.
      told: what the user says of records.

    Raises:
      DataError: the data set is missing or malformed.
    """
    with ProgressBars() as progress:
        folder = data_set_of(dataset_dir, _conversion_processes(), progress.update)
        if folder != os.fspath(dataset_dir):
            told = RecordsAsTold()  # the records are ours: evaluation may have the flags from a training on others
        return get_dataset(name, split_name, folder, flag, told, progress.update)


def _conversion_processes() -> int:
    """Return how many processes may convert: a script of a user would run again in each that is started."""
    return available_cpus() if own_packages.is_command() else 1
