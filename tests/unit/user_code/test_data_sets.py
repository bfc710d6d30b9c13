"""Data set modules of users, in research/slim's convention, on records with keys of their own."""

from __future__ import annotations

import dataclasses
import io
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.foreign import RecordsAsTold
from datasets.tfrecords import write_records
from slim_train.errors import UsageError
from slim_train.inputs.data_set import open_split
from slim_train.tf_compat import tf
from slim_train.training.dataset_and_model import choose_model, open_dataset, open_validation_set
from slim_train.training_options import DataOptions, TrainOptions, ValidationOptions
from slim_train.user_code import data_sets
from slim_train.user_code.data_sets import find_dataset_module, register_dataset

# As research/slim's flowers.py is written, for records with two whole numbers and two images.
MODULE = """
import os
import tensorflow as tf
from datasets import dataset_utils

slim = tf.contrib.slim

_FILE_PATTERN = 'shades_%s_*.tfrecord'
SPLITS_TO_SIZES = {'train': 6, 'validation': 3}
_NUM_CLASSES = 4

def get_split(split_name, dataset_dir, file_pattern=None, reader=None):
    if split_name not in SPLITS_TO_SIZES:
        raise ValueError('split name %s was not recognized.' % split_name)
    if not file_pattern:
        file_pattern = _FILE_PATTERN
    file_pattern = os.path.join(dataset_dir, file_pattern % split_name)
    keys_to_features = {
        'photo': tf.FixedLenFeature((), tf.string, default_value=''),
        'kind': tf.FixedLenFeature([], tf.int64, default_value=tf.zeros([], dtype=tf.int64)),
    }
    items_to_handlers = {
        'image': slim.tfexample_decoder.Image('photo', 'format'),
        'label': slim.tfexample_decoder.Tensor('kind'),
    }
    decoder = slim.tfexample_decoder.TFExampleDecoder(keys_to_features, items_to_handlers)
    labels_to_names = {0: 'dark', 1: 'gray', 2: 'light', 3: 'white'}
    if dataset_utils.has_labels(dataset_dir):
        labels_to_names = dataset_utils.read_label_file(dataset_dir)
    return slim.dataset.Dataset(
        data_sources=file_pattern, reader=tf.TFRecordReader, decoder=decoder,
        num_samples=SPLITS_TO_SIZES[split_name], items_to_descriptions={'image': 'A shade.'},
        num_classes=_NUM_CLASSES, labels_to_names=labels_to_names)
"""


def _record(label: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 60 * label, np.uint8)).save(buffer, "PNG")
    features = {
        "photo": tf.train.Feature(bytes_list=tf.train.BytesList(value=[buffer.getvalue()])),
        "thumbnail": tf.train.Feature(bytes_list=tf.train.BytesList(value=[buffer.getvalue()])),
        "kind": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "rating": tf.train.Feature(int64_list=tf.train.Int64List(value=[5])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "records"
    made.mkdir()
    write_records(made / "shades_train_00000-of-00001.tfrecord", [_record(label) for label in (0, 1, 2, 0, 1, 2)])
    write_records(made / "shades_validation_00000-of-00001.tfrecord", [_record(label) for label in (0, 2, 1)])
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shades.py"
    path.write_text(MODULE)
    return path


def _options(folder: Path, file: Path) -> TrainOptions:
    options = TrainOptions()
    return dataclasses.replace(
        options,
        data=dataclasses.replace(options.data, dataset_dir=str(folder), dataset_file=str(file)),
        model=dataclasses.replace(options.model, model_name="lenet"),
        validation=ValidationOptions(eval_split_name="validation"),
    )


def test_pattern_keys_and_classes_are_those_of_the_module(folder: Path, file: Path) -> None:
    options = _options(folder, file)
    dataset = open_dataset(options)
    assert dataset.labels == ("dark", "gray", "light", "white")
    assert (dataset.records.image_key, dataset.records.label_key) == ("photo", "kind")
    assert (dataset.num_samples, dataset.class_counts) == (6, (2, 2, 2, 0))
    assert choose_model(options, dataset).num_classes == 4
    validation_set = open_validation_set(options, dataset)
    assert validation_set is not None
    assert (validation_set.num_samples, validation_set.labels) == (3, dataset.labels)


def test_flags_go_before_the_module(folder: Path, file: Path) -> None:
    told = RecordsAsTold(image_key="thumbnail", label_key="rating", labels_offset=0)
    module = find_dataset_module(str(file), None)
    assert module is not None
    completed = module.told("train", str(folder), told)
    assert (completed.image_key, completed.label_key) == ("thumbnail", "rating")
    assert completed.file_pattern == "shades_%s_*.tfrecord"


def test_names_in_the_folder_go_before_those_of_the_module(folder: Path, file: Path) -> None:
    (folder / "labels.txt").write_text("0:a\n1:b\n2:c\n")
    dataset = open_split(None, "train", folder, "", RecordsAsTold(), str(file))
    assert dataset.labels == ("a", "b", "c")


def test_constants_alone_will_do(folder: Path, file: Path) -> None:
    file.write_text("_FILE_PATTERN = 'shades_%s_*'\n_NUM_CLASSES = 3\nSPLITS_TO_SIZES = {'train': 6}\n")
    told = RecordsAsTold(image_key="photo", label_key="kind")
    assert open_split(None, "train", folder, "", told, str(file)).labels == ("0", "1", "2")
    with pytest.raises(UsageError, match="has no split 'test'. Valid: train"):
        open_split(None, "test", folder, "", told, str(file))


def test_a_size_that_is_not_true_is_warned_of(folder: Path, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_text(MODULE.replace("'train': 6", "'train': 5"))
    with caplog.at_level(logging.WARNING):
        assert open_split(None, "train", folder, "", RecordsAsTold(), str(file)).num_samples == 6
    assert "says that split train has 5 records; it has 6" in caplog.text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", r"must define get_split\(split_name, dataset_dir\), or _FILE_PATTERN and _NUM_CLASSES"),
        (MODULE.replace("'train': 6, ", ""), r"get_split\('train'\) fails\. .*line 14: ValueError: split name train"),
        (MODULE.replace("_NUM_CLASSES = 4", "_NUM_CLASSES = (").replace(", 3: 'white'", ""), r"cannot be loaded\. "),
    ],
)
def test_a_module_that_does_not_work_is_one_sentence(source: str, message: str, folder: Path, file: Path) -> None:
    file.write_text(source)
    with pytest.raises(UsageError, match=message):
        open_split(None, "train", folder, "", RecordsAsTold(), str(file))


def test_fewer_classes_than_there_are_is_an_error_that_names_the_file(folder: Path, file: Path) -> None:
    file.write_text(MODULE.replace("_NUM_CLASSES = 4", "_NUM_CLASSES = 2").replace(", 2: 'light', 3: 'white'", ""))
    with pytest.raises(ValueError, match=r"labels run from 0 to 2, and --dataset_file=.*shades\.py names 2 classes"):
        open_split(None, "train", folder, "", RecordsAsTold(), str(file))


def test_a_registered_data_set_is_found_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setattr(data_sets._DATA_SETS, "_registered", {})
    module = find_dataset_module(str(file), None)
    assert module is not None
    register_dataset("shades", module.contents["get_split"])
    assert open_split("shades", "train", folder, "", RecordsAsTold()).labels == ("dark", "gray", "light", "white")
    assert find_dataset_module(None, "other") is None
    with pytest.raises(UsageError, match="must be a function get_split or a module"):
        register_dataset("number", 3)  # type: ignore[arg-type]


def test_evaluation_needs_the_module_no_more(folder: Path, file: Path) -> None:
    from slim_train.training.job import Job

    options = _options(folder, file)
    dataset = open_dataset(options)
    job = Job.__new__(Job)
    object.__setattr__(job, "options", options)
    object.__setattr__(job, "dataset", dataset)
    object.__setattr__(job, "model", choose_model(options, dataset))
    data: DataOptions = job.resolved_options().data
    assert (data.file_pattern, data.image_key, data.label_key) == ("shades_%s_*.tfrecord", "photo", "kind")


def test_arguments_without_defaults_are_given(folder: Path, file: Path) -> None:
    file.write_text(MODULE.replace("file_pattern=None, reader=None", "file_pattern, reader"))
    assert open_split(None, "train", folder, "", RecordsAsTold(), str(file)).num_samples == 6


def test_a_pattern_of_one_split_stands_for_all(folder: Path, file: Path) -> None:
    file.write_text(MODULE.replace("_FILE_PATTERN", "PATTERN"))
    options = _options(folder, file)
    dataset = open_dataset(options)
    assert dataset.file_pattern == "shades_%s_*.tfrecord"
    validation_set = open_validation_set(options, dataset)
    assert validation_set is not None
    assert validation_set.num_samples == 3


def test_names_that_have_no_numbers_are_one_sentence(folder: Path, file: Path) -> None:
    file.write_text(MODULE.replace("{0: 'dark'", "{'zero': 'dark'"))
    with pytest.raises(UsageError, match=r"get_split\('train'\) fails\. ValueError"):
        open_split(None, "train", folder, "", RecordsAsTold(), str(file))


def test_keys_of_a_module_without_a_pattern_are_kept_for_evaluation(folder: Path, file: Path) -> None:
    from slim_train.training.job import Job

    source = MODULE.replace("_FILE_PATTERN", "PATTERN").replace(
        "data_sources=file_pattern", "data_sources=tf.gfile.Glob(file_pattern)"
    )
    file.write_text(source)
    options = _options(folder, file)
    dataset = open_dataset(options)
    job = Job.__new__(Job)
    for name, value in (("options", options), ("dataset", dataset), ("model", choose_model(options, dataset))):
        object.__setattr__(job, name, value)
    data: DataOptions = job.resolved_options().data
    assert (data.image_key, data.label_key, data.dataset_name) == ("photo", "kind", None)
