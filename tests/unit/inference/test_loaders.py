"""Loading what was trained or exported, here or elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.inference import loaders
from slim_train.inference.overrides import ModelOverrides
from slim_train.tf_compat import tf


def _write_graph(folder: Path, dtype=tf.float32, shape=(None, 4, 4, 3)) -> Path:
    """A frozen graph of another program: the mean color of an image, as probabilities of three classes."""
    path = folder / "theirs.pb"
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(dtype, shape, name="input")
        tf.nn.softmax(tf.reduce_mean(tf.cast(image, tf.float32), [1, 2]), name="final_result")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_a_graph_of_another_program_is_scaled_as_told_and_numbered(tmp_path: Path, photo) -> None:
    model = loaders.load_frozen(_write_graph(tmp_path), ModelOverrides(input_mean=0.0, input_std=1.0))
    with model.session:
        pixels = model.decode(photo("PNG"))
        assert pixels.shape == (4, 4, 3)
        assert 1.0 < pixels.max() <= 255.0
        assert model.score(pixels[np.newaxis]).sum() == pytest.approx(1.0, abs=1e-5)
    assert (model.labels, model.image_size, model.name) == (("0", "1", "2"), (4, 4), "theirs")


def test_names_beside_the_graph_are_its_labels(tmp_path: Path) -> None:
    path = _write_graph(tmp_path)
    (tmp_path / "theirs_labels.txt").write_text("red\ngreen\nblue\n")
    model = loaders.load_frozen(path, ModelOverrides())
    model.session.close()
    assert model.labels == ("red", "green", "blue")


@pytest.mark.parametrize(
    ("graph", "given", "words"),
    [
        ({}, {"labels": ("a", "b")}, "has 3 scores, but --labels names 2"),
        ({}, {"input_height": 8, "input_width": 8}, "--input_height=8: .* takes images of 4x4"),
        ({}, {"input_layer": "inptu"}, "has no 'inptu'.*input"),
        ({"shape": (None, None, None, 3)}, {}, "give --input_height and --input_width"),
        ({"dtype": tf.uint8}, {}, "input"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, graph, given, words) -> None:
    with pytest.raises(UsageError, match=words):
        loaders.load_frozen(_write_graph(tmp_path, **graph), ModelOverrides(**given))


def test_a_checkpoint_takes_no_flags_of_graphs(training_folder: Path) -> None:
    with pytest.raises(UsageError, match="are for exported graphs"):
        loaders.load_trained(training_folder, ModelOverrides(input_mean=1.0))


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pb").write_bytes(b"no graph")
    with pytest.raises(UsageError, match=r"x\.pb is not a frozen graph"):
        loaders.load_frozen(tmp_path / "x.pb", ModelOverrides())
    with pytest.raises(UsageError, match="is not a SavedModel"):
        loaders.load_saved_model(tmp_path, ModelOverrides())
