"""ONNX files that are not models of ours; those that are belong to the tests of the export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.inference.onnx_model import OnnxModel, load_onnx, whole_pixels
from slim_train.inference.overrides import ModelOverrides


def _model(**properties: str) -> Any:
    """The mean color of an image as probabilities of three classes, with metadata."""
    onnx = pytest.importorskip("onnx", reason="the extra [onnx] is not installed")
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["floats"], to=kinds.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["means"], axes=[1, 2], keepdims=0),
            helper.make_node("Softmax", ["means"], ["scores"]),
        ],
        "mean",
        [helper.make_tensor_value_info("pixels", kinds.UINT8, ["batch", 4, 4, 3])],
        [helper.make_tensor_value_info("scores", kinds.FLOAT, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    helper.set_model_props(model, properties)
    return model


OURS = {
    "model_name": "lenet",
    "labels": '["a", "b", "c"]',
    "image_size": "[4, 4]",
    "channels": "3",
    "preprocessing": "inception",
    "step": "7",
    "checkpoint": "model.ckpt-7",
}


def _write(folder: Path, **properties: str) -> Path:
    path = folder / "a.onnx"
    path.write_bytes(_model(**properties).SerializeToString())
    return path


def test_pixels_are_taken_whole_and_with_fractions(tmp_path: Path) -> None:
    path = _write(tmp_path)
    pixels = np.full((2, 4, 4, 3), [0.4, 1.6, 2.0], np.float32)
    whole, exact = OnnxModel(path), OnnxModel(path, takes_fractions=True)
    assert (whole.takes_bytes, exact.takes_bytes) == (True, False)
    logits = np.array([[0.0, 2.0, 2.0], [0.4, 1.6, 2.0]])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(whole.score(whole_pixels(pixels)), expected[[0, 0]], atol=1e-6)
    np.testing.assert_allclose(exact.score(pixels), expected[[1, 1]], atol=1e-6)


def test_pixels_are_rounded_and_held_in_their_range() -> None:
    assert whole_pixels(np.array([-3.0, 0.6, 254.4, 300.0])).tolist() == [0, 1, 254, 255]


@pytest.mark.parametrize(
    ("properties", "given", "message"),
    [
        ({}, {}, "was not written by export_inference_graph --formats=onnx"),
        ({**OURS, "image_size": "4"}, {}, "does not describe an export of slim-train"),
        ({**OURS, "preprocessing": "mine"}, {}, r"does not hold the preprocessing .* \(mine\): use the SavedModel"),
        (OURS, {"input_mean": 1.0}, "--input_mean and --input_std are for graphs of other programs"),
        (OURS, {"input_height": 8}, "--input_height=8: .* takes images of 4x4"),
        (OURS, {"labels": ("a",)}, "has 3 scores, but --labels names 1"),
    ],
)
def test_a_model_of_another_program_and_what_does_not_fit_are_named(
    properties: dict[str, str], given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        load_onnx(_write(tmp_path, **properties), ModelOverrides(**given))


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08"])
def test_a_broken_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    (tmp_path / "a.onnx").write_bytes(content)
    for takes_fractions in (False, True):
        with pytest.raises(UsageError, match=r"a\.onnx is not an ONNX model") as caught:
            OnnxModel(tmp_path / "a.onnx", takes_fractions=takes_fractions)
        assert "\n" not in str(caught.value)


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, **OURS)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"a\.onnx is not an ONNX model"):
        load_onnx(path, ModelOverrides())


def test_a_missing_onnxruntime_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"requires onnxruntime .*pip install 'slim-train\[onnx\]'"):
        OnnxModel(tmp_path / "a.onnx")


@pytest.mark.parametrize("place", ["initializer", "subgraph"])
def test_a_model_with_weights_in_other_files_is_refused(place: str, tmp_path: Path) -> None:
    model = _model(**OURS)
    onnx = pytest.importorskip("onnx")
    tensor = onnx.helper.make_tensor("secret", onnx.TensorProto.FLOAT, [1], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    if place == "initializer":
        model.graph.initializer.append(tensor)
    else:
        inner = onnx.helper.make_graph([], "inner", [], [], [tensor])
        model.graph.node[0].attribute.append(onnx.helper.make_attribute("body", inner))
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match=r"a\.onnx keeps weights in other files, which are not read"):
        load_onnx(tmp_path / "a.onnx", ModelOverrides())
