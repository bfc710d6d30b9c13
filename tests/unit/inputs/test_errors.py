"""Why the input stopped."""

from __future__ import annotations

import numpy as np
import pytest

from datasets import tfrecords
from datasets.spec import DatasetSpec
from slim_train.inputs import pipeline
from slim_train.inputs.errors import check_labels, explain_input_error
from slim_train.tf_compat import tf


def _records(folder, photo, labels=(0, 1), broken=None):
    path = str(folder / "pets_train.tfrecord")
    tfrecords.write_records(path, (
        tfrecords.image_example(
            b"no image" if index == broken else photo("PNG", seed=index), "png", label, f"class {label}", 70, 90,
            f"{index}.png",
        )
        for index, label in enumerate(labels)
    ))  # fmt: skip
    return DatasetSpec("pets", "train", str(folder), (path,), 2, len(labels), ("cat", "dog"))


def _error(dataset):
    """What reading the split raises."""
    with tf.Graph().as_default(), tf.Session() as session:
        batches = pipeline.evaluation_batches(
            dataset, batch_size=2, image_size=28, channels=3, preprocessing="lenet", num_classes=2
        )
        iterator = tf.data.make_initializable_iterator(batches)
        following = iterator.get_next()
        session.run(iterator.initializer)
        with pytest.raises(tf.errors.OpError) as caught:
            while True:
                session.run(following)
        return caught.value


def test_a_broken_image_is_named_by_file_byte_and_source(tmp_path, photo):
    dataset = _records(tmp_path, photo, broken=1)
    explained = str(explain_input_error(_error(dataset), dataset))
    offsets = [offset for offset, _ in tfrecords.scan_records(dataset.files[0])]
    assert f"pets_train.tfrecord, record at byte {offsets[1]} (1.png)" in explained


def test_a_label_out_of_range_is_named(tmp_path, photo):
    dataset = _records(tmp_path, photo, labels=(0, 5))
    explained = str(explain_input_error(_error(dataset), dataset))
    assert "(1.png): " in explained
    assert "label 5" in explained


def test_the_end_of_the_input_and_errors_of_others_are_not_explained(tmp_path, photo):
    dataset = _records(tmp_path, photo)
    error = _error(dataset)
    assert isinstance(error, tf.errors.OutOfRangeError)
    assert explain_input_error(error, dataset) is None
    assert explain_input_error(tf.errors.InvalidArgumentError(None, None, "a matrix is singular"), dataset) is None


def test_good_labels_pass_less_their_offset():
    with tf.Graph().as_default(), tf.Session() as session:
        np.testing.assert_array_equal(session.run(check_labels(tf.constant([1, 2], tf.int64), 2, 1)), [0, 1])
        with pytest.raises(tf.errors.InvalidArgumentError, match="label 0 less --labels_offset=1"):
            session.run(check_labels(tf.constant([0, 2], tf.int64), 2, 1))
