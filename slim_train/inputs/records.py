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


class FileReader:
    """Reads the record files of a data set: themselves, or copies that are removed when they were read.

    Args:
      dataset: whose files they are.

    Raises:
      DataError: copies are needed, and their folder cannot be written.
    """

    def __init__(self, dataset: DatasetSpec) -> None:
        self._compression = dataset.records.compression
        is_copied = any(map(dataset.copies.applies_to, dataset.files))
        self._copies = RecordCopies(dataset.copies) if is_copied else None

    @property
    def copies_files(self) -> bool:
        """Whether files are copied before they are read."""
        return self._copies is not None

    def here(self, files: Any) -> Any:
        """Return the paths under which TensorFlow opens files, in the same order. Copies are made a little ahead.

        Args:
          files: tf.data.Dataset of paths and URLs, string [].
        """
        if self._copies is None:
            return files
        copies = self._copies

        def fetch(path: bytes) -> bytes:
            try:
                return copies.fetch(path.decode()).encode()
            except DataError as error:  # TensorFlow takes an error of a file for a connection that is lost
                raise ValueError(f"{error}") from error

        copied = files.map(_of_text(fetch), num_parallel_calls=_COPIED_AT_ONCE, deterministic=True)
        return copied.prefetch(_COPIED_AHEAD)

    def records(self, path: Any) -> Any:
        """Return the serialized records of a file of :meth:`here`, in their order, as tf.data.Dataset."""
        records = tf.data.TFRecordDataset(path, self._compression, _READ_BUFFER_BYTES)
        if self._copies is None:
            return records
        copies = self._copies

        def release(path: bytes) -> bytes:
            copies.release(path.decode())
            return b""

        # Nothing, which is looked at when the last record is read.
        released = tf.data.Dataset.from_tensors(path).map(_of_text(release)).filter(plain(lambda _: False))
        return records.concatenate(released)


def read(files: Sequence[str], dataset: DatasetSpec) -> Any:
    """Return the serialized records of files of ``dataset``, in their order, as tf.data.Dataset."""
    reader = FileReader(dataset)
    if not reader.copies_files:
        return reader.records(list(files))
    return reader.here(tf.data.Dataset.from_tensor_slices(list(files))).flat_map(plain(reader.records))


def _of_text(function: Callable[[bytes], bytes]) -> Callable[[Any], Any]:
    """Return a function of TensorFlow, string [] to string [], that calls one of Python."""
    return plain(lambda text: tf.ensure_shape(tf.numpy_function(function, [text], tf.string), []))


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
