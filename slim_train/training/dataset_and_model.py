"""The data set and the net of a training, by its options."""

from __future__ import annotations

import logging

from datasets.foreign import RecordsAsTold
from datasets.record_files import check_apart
from datasets.spec import INFO_FILE, DatasetSpec, read_info
from datasets.storage import path_of
from slim_train.errors import UsageError
from slim_train.inputs.data_set import check_server, open_split
from slim_train.model.spec import ModelSpec, resolve_model
from slim_train.training_options import TrainOptions
from slim_train.user_code.load import load_net, load_recipe

log = logging.getLogger(__name__)


def open_dataset(options: TrainOptions) -> DatasetSpec:
    """Open the split to train on.

    Raises:
      DataError: it is missing or malformed.
    """
    data = options.data
    assert data.dataset_dir, "the command requires it"
    return _open(options, data.dataset_split_name, data.dataset_dir, "dataset_split_name")


def open_validation_set(options: TrainOptions, dataset: DatasetSpec) -> DatasetSpec | None:
    """Open the split that checkpoints are evaluated on during training; None without ``--eval_split_name``.

    Raises:
      DataError: it is missing or malformed, or shares a file with the split that is trained on.
      UsageError: ``--file_pattern`` cannot name its files.
    """
    split_name = options.validation.eval_split_name
    if not split_name:
        return None
    pattern = options.data.file_pattern
    if pattern and "%s" not in pattern:
        raise UsageError(
            f"--file_pattern={pattern} names the files to train on: write %s where the name of the split is, so that "
            f"those of --eval_split_name={split_name} are found too."
        )
    validation_set = _open(options, split_name, dataset.dataset_dir, "eval_split_name")
    if split_name != dataset.split_name:
        check_apart(dataset.split_name, dataset.files, split_name, validation_set.files)
    return validation_set


def _open(options: TrainOptions, split_name: str, dataset_dir: str, flag: str) -> DatasetSpec:
    data = options.data
    told = RecordsAsTold.of(data)
    cache = options.record_cache
    dataset = open_split(data.dataset_name, split_name, dataset_dir, flag, told, data.dataset_file, cache)
    check_server(options.cluster.master, dataset)
    return dataset


def choose_model(options: TrainOptions, dataset: DatasetSpec) -> ModelSpec:
    """Return the net for ``dataset``, from the user's code if there is any.

    Raises:
      UsageError: as :func:`slim_train.model.spec.resolve_model` does, or the user's code does not work.
    """
    channels = 1 if options.model.use_grayscale else options.model.train_image_channels
    recipe = load_recipe(options.code, options.model.train_image_size, channels)
    if recipe and options.model.preprocessing_name:
        raise UsageError("--preprocessing_file and --preprocessing_name cannot be combined.")
    model = resolve_model(
        load_net(options.code, options.model.model_name, options.model.train_image_size, channels)
        or options.model.model_name,
        dataset,
        num_classes=options.data.num_classes,
        labels_offset=options.data.labels_offset,
        image_size=options.model.train_image_size,
        channels=channels,
        preprocessing=recipe or options.model.preprocessing_name,
        scaled_decoding=options.model.scaled_decoding,
    )
    _warn_of_small_images(dataset, model)
    return model


def _warn_of_small_images(dataset: DatasetSpec, model: ModelSpec) -> None:
    """Warn if conversion made the images smaller than the net takes them."""
    if not (path_of(dataset.dataset_dir) / INFO_FILE).is_file():
        return
    max_side = read_info(dataset.dataset_dir).settings.get("max_image_side")
    if isinstance(max_side, int) and max_side < model.image_size:
        log.warning(
            "%s was converted with --max_image_side=%d, and the net takes images of %d pixels: they are enlarged, "
            "without the detail that was lost. Convert again with a larger --max_image_side.",
            dataset.dataset_dir, max_side, model.image_size,
        )  # fmt: skip
