"""Examples read without TensorFlow."""

from __future__ import annotations

import pytest

from datasets.examples import features
from datasets.tfrecords import image_example
from slim_train.tf_compat import tf


def test_what_tensorflow_writes_is_read() -> None:
    record = tf.train.Example(
        features=tf.train.Features(
            feature={
                "bytes": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"", b"\xff"])),
                "ints": tf.train.Feature(int64_list=tf.train.Int64List(value=[0, -1, 2**62, 300])),
                "floats": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, -2.0])),
            }
        )
    ).SerializeToString()
    assert features(record) == {
        "bytes": ("bytes", [b"", b"\xff"]),
        "ints": ("int", [0, -1, 2**62, 300]),
        "floats": ("float", [0.5, -2.0]),
    }
    assert features(b"") == {}


def test_what_conversion_writes_is_read() -> None:
    held = features(image_example(b"pixels", "png", 3, "cat", 10, 20, "cat/1.png"))
    assert held["image/encoded"] == ("bytes", [b"pixels"])
    assert held["image/class/label"] == ("int", [3])
    assert held["image/filename"] == ("bytes", [b"cat/1.png"])


@pytest.mark.parametrize("record", [b"\xff", b"\x0a\xff\x01", b"\x0a\x05\x0a\x03\x0a\x01", b"\x80" * 12])
def test_other_bytes_are_refused(record: bytes) -> None:
    with pytest.raises(ValueError, match="no tf.train.Example"):
        features(record)
