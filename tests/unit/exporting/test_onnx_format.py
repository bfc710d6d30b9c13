"""ONNX models: converted, described and equal to the checkpoint, by onnxruntime alone."""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from slim_train import config
from slim_train.errors import RunError, UsageError
from slim_train.exporting import onnx_format, run
from slim_train.exporting.options import ExportOptions
from slim_train.inference.export_info import from_properties
from slim_train.inference.predictor import Predictor, load_predictor
from slim_train.inference.trained_model import find_trained_model
from slim_train.nets.factory import net_names
from slim_train.tf_compat import tf

BENCHMARK = Path(__file__).resolve().parents[3] / "scripts/benchmarks/onnx.py"


@pytest.fixture(scope="module")
def exported(mobilenet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tf2onnx", reason="the extra [onnx] is not installed")
    folder = tmp_path_factory.mktemp("onnx")
    flags = {"checkpoint_path": str(mobilenet_folder), "export_dir": str(folder), "formats": "onnx"}
    run.run(config.with_values(ExportOptions(), {**flags, "num_check_images": 4}))
    return folder


@pytest.fixture(scope="module")
def trained(mobilenet_folder: Path) -> Iterator[Predictor]:
    with load_predictor(mobilenet_folder) as predictor:
        yield predictor


def test_the_export_is_checked_by_onnxruntime(exported: Path) -> None:
    assert sorted(path.name for path in exported.iterdir()) == ["export.json", "labels.txt", "model.onnx"]
    (file,) = json.loads((exported / "export.json").read_text())["files"]
    assert file["format"] == "ONNX model"
    assert file["difference"]["largest"] < 1e-5
    assert file["difference"]["same_best"] == 4


@pytest.mark.slow
def test_another_program_needs_the_file_alone(exported: Path, mobilenet_folder: Path, trained: Predictor) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    (pixels,), (scores,) = session.get_inputs(), session.get_outputs()
    assert (pixels.name, pixels.type, pixels.shape) == ("pixels", "tensor(uint8)", ["batch", 64, 64, 3])
    assert (scores.name, scores.type, scores.shape) == ("scores", "tensor(float)", ["batch", 5])
    meta = session.get_modelmeta()
    assert meta.producer_name == "slim-train"
    assert from_properties(meta.custom_metadata_map, exported) == find_trained_model(mobilenet_folder).info()
    assert json.loads(meta.custom_metadata_map["labels"])[0] == "daisy"
    for count in (1, 3):
        batch = np.random.default_rng(count).integers(0, 256, (count, 64, 64, 3), np.uint8)
        (found,) = session.run(None, {"pixels": batch})
        np.testing.assert_allclose(found, trained.scores(batch.astype(np.float32)), atol=1e-5)


def test_the_folder_of_the_file_classifies_as_the_checkpoint_does(
    exported: Path, trained: Predictor, photo: Callable[..., bytes]
) -> None:
    images = [photo(), photo("PNG", seed=1), photo(size=(1200, 900))]
    with load_predictor(exported) as predictor:
        assert (predictor.name, predictor.labels, predictor.image_size) == (
            trained.name,
            trained.labels,
            trained.image_size,
        )
        np.testing.assert_allclose(predictor.predict(images), trained.predict(images), atol=1e-5)
        assert not predictor.can_explain
        with pytest.raises(UsageError, match="--explain: mobilenet_v1_025 is not in a format with gradients"):
            predictor.heat(np.zeros((1, 64, 64, 3), np.float32), [0])


def test_a_missing_extra_is_named_before_anything_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    flags = {"checkpoint_path": str(tmp_path / "gone"), "formats": "onnx"}
    with pytest.raises(UsageError, match=r"--formats=onnx requires .*pip install 'slim-train\[onnx\]'"):
        run.run(config.with_values(ExportOptions(), flags))


def test_a_net_with_an_operation_that_onnx_lacks_is_named(mobilenet_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx", reason="the extra [onnx] is not installed")
    trained = find_trained_model(mobilenet_folder)
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(tf.float32, [None, 64, 64, 3], name="pixels")
        tf.identity(tf.linalg.svd(pixels, compute_uv=False)[:, 0, :5], name="scores")
    with pytest.raises(RunError, match=r"tf2onnx cannot convert this net.* Leave onnx out of --formats"):
        onnx_format.write_onnx(tmp_path / "x.onnx", trained, graph.as_graph_def(), trained.info())
    assert not (tmp_path / "x.onnx").exists()
    assert logging.getLogger("tf2onnx").level != logging.CRITICAL


def test_updates_of_the_converter_do_not_let_the_process_grow() -> None:
    if not Path("/proc/self/statm").is_file():
        pytest.skip("the size of the process is read on Linux only")
    graph = pytest.importorskip("tf2onnx.graph", reason="the extra [onnx] is not installed").Graph([], opset=15)
    graph.make_const("weights", np.ones(1 << 20, np.float32))

    def update() -> int:
        for _ in range(25):
            graph.update_proto()
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    with onnx_format.constants_kept():
        before = update()
        assert update() - before < 50 << 20


@pytest.mark.slow
@pytest.mark.parametrize("name", net_names())
def test_every_net_of_the_zoo_answers_as_tensorflow_does(name: str) -> None:
    pytest.importorskip("tf2onnx", reason="the extra [onnx] is not installed")
    spec = importlib.util.spec_from_file_location("benchmark_onnx", BENCHMARK)
    assert spec and spec.loader
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    (figures,) = benchmark.run(parser.parse_args([name, "--rounds=0", "--num_images=2"]))
    assert figures["largest_difference"] < 1e-4
    assert figures["largest_probability"] > 0.01
