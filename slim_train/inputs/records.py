"""Records in a graph: read from files, and parsed to image, label and name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from datasets.errors import DataError
from datasets.record_copies import RecordCopies
from datasets.spec import DatasetSpec
from slim_train.tf_compat import tf

# Readers of several files on one disk take turns, and each turn moves its head: 10 ms, in which it could read 1.5 MB.
_READ_BUFFER_BYTES = 4 * 2**20
_COPIED_AT_ONCE = 2
_COPIED_AHEAD = 1


def read(files: Sequence[str], dataset: DatasetSpec) -> Any:
    """Return the serialized records of files of ``dataset``, in their order, as tf.data.Dataset."""
    if not any(map(dataset.copies.applies_to, files)):
        return records_in(list(files), dataset)
    paths = opened_here(tf.data.Dataset.from_tensor_slices(list(files)), dataset, num_readers=1)
    return paths.flat_map(plain(lambda file: records_in(file, dataset)))


def opened_here(files: Any, dataset: DatasetSpec, num_readers: int) -> Any:
    """Return the paths under which TensorFlow opens record files, in the same order: of the files, or of copies.

    Copies are made a little ahead.

    Args:
      files: tf.data.Dataset of paths and URLs, string [].
      dataset: that they are of.
      num_readers: how many files are read at the same time.

    Raises:
      DataError: copies are needed, and their folder cannot be written.
    """
    if not any(map(dataset.copies.applies_to, dataset.files)):
        return files
    # tf.data takes up to as many files again before it opens them.
    copies = RecordCopies(dataset.copies, 4 * num_readers + _COPIED_AT_ONCE + _COPIED_AHEAD)

    def fetch(path: bytes) -> bytes:
        try:
            return copies.fetch(path.decode()).encode()
        except DataError as error:  # TensorFlow takes an error of a file for a connection that is lost
            raise ValueError(f"{error}") from error

    def copy(path: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(fetch, [path], tf.string), [])

    return files.map(plain(copy), num_parallel_calls=_COPIED_AT_ONCE, deterministic=True).prefetch(_COPIED_AHEAD)


def records_in(files: Any, dataset: DatasetSpec) -> Any:
    """Return the serialized records of files that TensorFlow opens, in their order, as tf.data.Dataset.

    Args:
      files: paths, or a string tensor.
    """
    return tf.data.TFRecordDataset(files, dataset.records.compression, _READ_BUFFER_BYTES)


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep AutoGraph from rewriting a function of nothing but TensorFlow operations, which takes most of a second."""
    return tf.autograph.experimental.do_not_convert(function)


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
