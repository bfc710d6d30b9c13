"""Damage in a TFLite file is found before TensorFlow's interpreter follows it out of the file."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest

from slim_train.inference.tflite_check import check_offsets
from slim_train.tf_compat import tf


@pytest.fixture(scope="module")
def content() -> bytes:
    with tf.Graph().as_default(), tf.Session() as session:
        pixels = tf.placeholder(tf.float32, [1, 4, 4, 3], name="pixels")
        scores = tf.squeeze(
            tf.reduce_mean(tf.nn.conv2d(pixels, tf.ones([3, 3, 3, 2]), padding="SAME"), [1, 2]), name="s"
        )
        return tf.lite.TFLiteConverter.from_session(session, [pixels], [scores]).convert()


def _refused(content: bytes) -> bool:
    try:
        check_offsets(content)
    except ValueError:
        return True
    return False


def test_what_the_converter_wrote_passes(content: bytes) -> None:
    check_offsets(content)


def test_a_file_that_ends_early_is_found(content: bytes) -> None:
    assert all(_refused(content[:length]) for length in range(len(content)))


def test_a_table_that_starts_before_the_file_is_found(content: bytes) -> None:
    damaged = bytearray(content)
    root = struct.unpack_from("<I", damaged)[0]
    struct.pack_into("<i", damaged, root, root + 4)
    with pytest.raises(ValueError, match="byte -4"):
        check_offsets(bytes(damaged))


def test_a_tensor_for_which_memory_would_not_do_is_found(content: bytes) -> None:
    shape = struct.pack("<5i", 4, 1, 4, 4, 3)
    assert shape in content
    with pytest.raises(ValueError, match="a tensor has 12884901888 numbers"):
        check_offsets(content.replace(shape, struct.pack("<5i", 4, 1, 4, 4 << 20, 3 << 8)))


def test_a_tensor_whose_dimensions_would_take_long_to_multiply_is_found(content: bytes) -> None:
    shape = struct.pack("<5i", 4, 1, 4, 4, 3)
    with pytest.raises(ValueError, match="a tensor has 100 dimensions"):
        check_offsets(content.replace(shape, struct.pack("<5i", 100, 1, 4, 4, 3)) + bytes(400))


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_damage_is_refused_or_harmless_to_the_interpreter(content: bytes) -> None:
    random, found = np.random.default_rng(0), 0
    for _ in range(100):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 2):
            damaged[place] = random.integers(0, 256)
        try:
            check_offsets(bytes(damaged))
        except ValueError:
            found += 1
            continue
        with contextlib.suppress(ValueError, RuntimeError):
            tf.lite.Interpreter(model_content=bytes(damaged)).allocate_tensors()  # Not checked, it ends the process.
    assert found > 10
