"""Records in a graph: read from files, and parsed to image, label and name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets.spec import DatasetSpec
from slim_train.tf_compat import tf

_READ_BUFFER_BYTES = 2**20


def read(files: Any, dataset: DatasetSpec) -> Any:
    """Return the serialized records of files of ``dataset``, in their order, as tf.data.Dataset.

    Args:
      files: paths, or a string tensor.
    """
    return tf.data.TFRecordDataset(files, dataset.records.compression, _READ_BUFFER_BYTES)


def parse_image_and_label(serialized: Any, dataset: DatasetSpec) -> tuple[Any, Any]:
    """Return the encoded image, string [], and the label, int64 [], of a serialized record."""
    record = _parse(serialized, dataset, with_name=False)
    return record[dataset.records.image_key], _label(record, dataset)


def parse(serialized: Any, dataset: DatasetSpec) -> tuple[Any, Any, Any]:
    """Return the encoded image, the label, and the name of the source, string [], of a serialized record.

    A class name that the data set does not have becomes label -1. The name is empty where the record has none.
    """
    record = _parse(serialized, dataset, with_name=True)
    return record[dataset.records.image_key], _label(record, dataset), record[dataset.records.file_key]


def _parse(serialized: Any, dataset: DatasetSpec, with_name: bool) -> dict[str, Any]:
    keys = dataset.records
    features = {
        keys.image_key: tf.FixedLenFeature([], tf.string),
        keys.label_key: {
            "number": tf.FixedLenFeature([], tf.int64),
            "text": tf.FixedLenFeature([], tf.string),
            "one_hot": tf.FixedLenFeature([dataset.num_classes], tf.int64),
        }[keys.label_kind],
    }
    if with_name:
        features[keys.file_key] = tf.FixedLenFeature([], tf.string, default_value="")
    return tf.io.parse_single_example(serialized, features)


def _label(record: dict[str, Any], dataset: DatasetSpec) -> Any:
    value = record[dataset.records.label_key]
    if dataset.records.label_kind == "one_hot":
        return tf.argmax(value)
    return _position(value, dataset.labels) if dataset.records.label_kind == "text" else value


def _position(text: Any, names: Sequence[str]) -> Any:
    """Return the index of ``text`` in ``names``; -1 where it is not there. A table would need to be initialized."""
    is_name = tf.equal(text, tf.constant(list(names)))
    return tf.where(tf.reduce_any(is_name), tf.argmax(tf.cast(is_name, tf.int32)), tf.constant(-1, tf.int64))
