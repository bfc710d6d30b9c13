"""The data set and the net of a training."""

from __future__ import annotations

import pytest

from datasets.errors import DataError
from slim_train.errors import UsageError
from slim_train.training.dataset_and_model import choose_model, open_dataset, open_validation_set


def test_the_splits_are_those_of_the_flags(options):
    dataset = open_dataset(options())
    assert (dataset.split_name, dataset.num_samples) == ("train", 14)
    assert open_validation_set(options(), dataset) is None
    assert open_validation_set(options(eval_split_name="test"), dataset).num_samples == 6


def test_a_split_that_is_not_there_is_named_with_its_flag(options):
    with pytest.raises(DataError, match="--dataset_split_name 'tset'.*Did you mean test"):
        open_dataset(options(dataset_split_name="tset"))
    with pytest.raises(DataError, match="--eval_split_name 'tran'.*Did you mean train"):
        open_validation_set(options(eval_split_name="tran"), open_dataset(options()))


def test_flags_of_the_input_reach_the_model(options):
    dataset = open_dataset(options())
    model = choose_model(options(model_name="mobilenet_v1_025", train_image_size=64, use_grayscale=True), dataset)
    assert (model.image_size, model.channels, model.num_classes) == (64, 1, 2)
    with pytest.raises(UsageError, match="num_classes=1 is too few"):
        choose_model(options(num_classes=1), dataset)
