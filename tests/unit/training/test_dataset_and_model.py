"""The data set and the net of a training."""

from __future__ import annotations

import dataclasses

import pytest

from datasets.errors import DataError
from datasets.spec import read_info, write_info
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


def test_images_that_conversion_made_smaller_than_the_net_takes_them_are_warned_of(options, tmp_path, caplog):
    dataset = open_dataset(options())
    info = read_info(dataset.dataset_dir)
    write_info(tmp_path, dataclasses.replace(info, settings={**info.settings, "max_image_side": 96}))
    small = dataclasses.replace(dataset, dataset_dir=str(tmp_path))
    choose_model(options(train_image_size=96), small)
    assert not caplog.records
    choose_model(options(train_image_size=128), small)
    assert "was converted with --max_image_side=96, and the net takes images of 128 pixels" in caplog.text
