"""TFLite files: those of others, broken ones, and numbers in and out of 8 bits."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.exporting.formats import INT8_FULL, write_tflite
from slim_train.inference import tflite_model
from slim_train.inference.export_info import ExportInfo, to_json
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import load_predictor
from slim_train.tf_compat import tf

INFO = ExportInfo("mean", ("red", "grün", "blue"), (4, 4), 3, "inception", 7, "model.ckpt-7")


def _write(path: Path, kind: str = "float32", info: ExportInfo = INFO) -> Path:
    """The mean color of an image as probabilities of three classes."""
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(tf.float32, [None, 4, 4, 3], name="pixels")
        tf.nn.softmax(tf.reduce_mean(pixels, [1, 2]) / 64, name="scores")
    images = [np.full((4, 4, 3), value, np.float32) for value in ((0, 128, 255), (255, 0, 0))]
    write_tflite(path, graph.as_graph_def(), kind, info, images)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tflite")
    for kind in ("float32", INT8_FULL):
        _write(folder / f"{kind}.tflite", kind)
    return folder


@pytest.mark.parametrize(("kind", "tolerance"), [("float32", 1e-6), (INT8_FULL, 0.02)])
def test_pixels_of_any_number_of_images_become_probabilities(kind: str, tolerance: float, models: Path) -> None:
    model = tflite_model.TfliteModel(models / f"{kind}.tflite")
    assert model.takes_bytes == (kind == INT8_FULL)
    for count in (3, 1, 2):
        colors = np.random.default_rng(count).uniform(0, 255, (count, 1, 1, 3)).astype(np.float32)
        logits = colors[:, 0, 0] / 64
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        scores = model.score(np.broadcast_to(colors, (count, 4, 4, 3)))
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, atol=tolerance)


def test_a_file_says_itself_what_its_classes_are(models: Path, photo: Callable[..., bytes]) -> None:
    assert tflite_model.read_info(models / "float32.tflite") == INFO
    with load_predictor(models / f"{INT8_FULL}.tflite") as predictor:
        assert (predictor.name, predictor.labels, predictor.image_size) == ("mean", INFO.labels, (4, 4))
        assert not predictor.can_explain
        assert predictor.predict([photo(), photo(seed=1)]).sum(axis=1) == pytest.approx(1.0, abs=0.02)


def test_a_file_of_another_program_is_refused(models: Path, tmp_path: Path) -> None:
    content = (models / "float32.tflite").read_bytes()
    (tmp_path / "theirs.tflite").write_bytes(content[: content.rindex(b"PK\x03\x04", 0, content.rindex(b"PK\x03\x04"))])
    assert tflite_model.read_info(tmp_path / "theirs.tflite") is None
    with pytest.raises(UsageError, match=r"theirs\.tflite does not say how images are prepared"):
        tflite_model.load_tflite(tmp_path / "theirs.tflite", ModelOverrides())


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x1c\x00\x00\x00TFL3" + 40 * b"\xff"])
def test_a_broken_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.tflite is not a TFLite model") as caught:
        tflite_model.load_tflite(tmp_path / "a.tflite", ModelOverrides())
    assert "\n" not in str(caught.value)


def test_flags_that_describe_other_graphs_are_refused(models: Path) -> None:
    with pytest.raises(UsageError, match="--input_mean and --input_std are for graphs of other programs"):
        load_predictor(models / "float32.tflite", ModelOverrides(input_mean=1.0))


def test_damage_in_what_a_file_says_of_itself_never_raises_another_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", to_json(INFO))
    content, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 3):
            damaged[place] = random.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(UsageError):
            tflite_model.read_info(path)
