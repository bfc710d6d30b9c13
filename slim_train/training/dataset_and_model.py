"""The data set and the net of a training, by its options."""

from __future__ import annotations

from datasets.factory import get_dataset
from datasets.spec import DatasetSpec
from slim_train.model.spec import ModelSpec, resolve_model
from slim_train.training_options import TrainOptions


def open_dataset(options: TrainOptions) -> DatasetSpec:
    """Open the split to train on.

    Raises:
      DataError: it is missing or malformed.
    """
    data = options.data
    assert data.dataset_dir, "the command requires it"
    return get_dataset(data.dataset_name, data.dataset_split_name, data.dataset_dir, flag="dataset_split_name")


def open_validation_set(options: TrainOptions, dataset: DatasetSpec) -> DatasetSpec | None:
    """Open the split that checkpoints are evaluated on during training; None without ``--eval_split_name``."""
    split_name = options.validation.eval_split_name
    return get_dataset(dataset.name, split_name, dataset.dataset_dir, flag="eval_split_name") if split_name else None


def choose_model(options: TrainOptions, dataset: DatasetSpec) -> ModelSpec:
    """Return the net for ``dataset``. Raises UsageError as :func:`slim_train.model.spec.resolve_model` does."""
    return resolve_model(
        options.model.model_name,
        dataset,
        num_classes=options.data.num_classes,
        labels_offset=options.data.labels_offset,
        image_size=options.model.train_image_size,
        channels=1 if options.model.use_grayscale else options.model.train_image_channels,
        preprocessing_name=options.model.preprocessing_name,
    )
