"""The data set and the net of a training, by its options."""

from __future__ import annotations

from pathlib import Path

from datasets.converted_folder import data_set_of
from datasets.factory import get_dataset
from datasets.foreign import RecordsAsTold
from datasets.spec import DatasetSpec
from deployment.threads import available_cpus
from slim_train import own_packages
from slim_train.errors import UsageError
from slim_train.model.spec import ModelSpec, resolve_model
from slim_train.progress import ProgressBars
from slim_train.training_options import TrainOptions
from slim_train.user_code.load import load_net, load_recipe


def open_dataset(options: TrainOptions) -> DatasetSpec:
    """Open the split to train on.

    Raises:
      DataError: it is missing or malformed.
    """
    data = options.data
    assert data.dataset_dir, "the command requires it"
    return _open(options, data.dataset_name, data.dataset_split_name, data.dataset_dir, "dataset_split_name")


def open_validation_set(options: TrainOptions, dataset: DatasetSpec) -> DatasetSpec | None:
    """Open the split that checkpoints are evaluated on during training; None without ``--eval_split_name``."""
    split_name = options.validation.eval_split_name
    if not split_name:
        return None
    pattern = options.data.file_pattern
    if pattern and "%s" not in pattern:
        raise UsageError(
            f"--file_pattern={pattern} names the files to train on: write %s where the name of the split is, so that "
            f"those of --eval_split_name={split_name} are found too."
        )
    return _open(options, options.data.dataset_name, split_name, dataset.dataset_dir, "eval_split_name")


def _open(options: TrainOptions, name: str | None, split_name: str, dataset_dir: str | Path, flag: str) -> DatasetSpec:
    data = options.data
    told = RecordsAsTold(data.file_pattern, data.image_key, data.label_key, data.text_key, data.labels_offset)
    with ProgressBars() as progress:
        folder = data_set_of(dataset_dir, _conversion_processes(), progress.update)
        return get_dataset(name, split_name, folder, flag, told, progress.update)


def _conversion_processes() -> int:
    """Return how many processes may convert: a script of a user would run again in each that is started."""
    return available_cpus() if own_packages.is_command() else 1


def choose_model(options: TrainOptions, dataset: DatasetSpec) -> ModelSpec:
    """Return the net for ``dataset``, from the user's code if there is any.

    Raises:
      UsageError: as :func:`slim_train.model.spec.resolve_model` does, or the user's code does not work.
    """
    channels = 1 if options.model.use_grayscale else options.model.train_image_channels
    recipe = load_recipe(options.code)
    if recipe and options.model.preprocessing_name:
        raise UsageError("--preprocessing_file and --preprocessing_name cannot be combined.")
    return resolve_model(
        load_net(options.code, options.model.model_name, options.model.train_image_size, channels)
        or options.model.model_name,
        dataset,
        num_classes=options.data.num_classes,
        labels_offset=options.data.labels_offset,
        image_size=options.model.train_image_size,
        channels=channels,
        preprocessing=recipe or options.model.preprocessing_name,
    )
