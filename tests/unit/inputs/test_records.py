"""Records in a graph."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from datasets.record_format import RecordFormat
from datasets.spec import DatasetSpec
from datasets.tfrecords import frame
from slim_train.inputs import records
from slim_train.tf_compat import tf


def _example(label, with_name=True):
    feature = {"picture": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"pixels"]))}
    if isinstance(label, bytes):
        feature["kind"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[label]))
    else:
        feature["kind"] = tf.train.Feature(int64_list=tf.train.Int64List(value=label))
    if with_name:
        feature["file"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a.png"]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.mark.parametrize(
    ("kind", "value", "label"),
    [
        ("number", [2], 2),
        ("text", b"dog", 1),
        ("text", b"emu", -1),
        ("one_hot", [0, 0, 1], 2),
    ],
)
def test_labels_of_all_kinds_become_numbers(tmp_path: Path, kind, value, label):
    path = tmp_path / "train.tfrecord"
    path.write_bytes(gzip.compress(frame(_example(value)) + frame(_example(value, with_name=False))))
    form = RecordFormat("picture", "kind", "file", kind, "GZIP")
    dataset = DatasetSpec("pets", "train", str(tmp_path), (str(path),), 3, 2, ("cat", "dog", "owl"), records=form)
    with tf.Graph().as_default(), tf.Session() as session:
        found = records.read([str(path)], dataset).map(lambda serialized: records.parse(serialized, dataset))
        following = tf.data.make_one_shot_iterator(found).get_next()
        assert session.run(following) == (b"pixels", label, b"a.png")
        assert session.run(following) == (b"pixels", label, b"")
