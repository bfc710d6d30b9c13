"""Weights for PyTorch: what is written, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train import config
from slim_train.errors import UsageError
from slim_train.exporting import run, torch_format
from slim_train.exporting.options import ExportOptions
from slim_train.inference.trained_model import find_trained_model
from slim_train.interchange import torch_run
from slim_train.interchange.torch_files import read_header
from slim_train.tf_compat import tf

pytest.importorskip("safetensors.numpy", reason="the extra [torch] is not installed")


def export(trained: Path, folder: Path, **flags: Any) -> Any:
    values = {"checkpoint_path": str(trained), "export_dir": str(folder), "formats": "torch", "num_check_images": 2}
    return run.run(config.with_values(ExportOptions(), {**values, **flags}))


@pytest.fixture(scope="module")
def trained(write_training_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_folder(tmp_path_factory.mktemp("trained") / "flowers", model_name="mobilenet_v2_035")


@pytest.mark.slow
def test_weights_and_config_are_a_folder_as_timm_loads_it(trained: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    torch_format.write_torch(tmp_path / torch_format.FILE, find_trained_model(trained))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    about = json.loads((tmp_path / "config.json").read_text())
    assert about == read_header(tmp_path / "model.safetensors").config
    assert (about["architecture"], about["num_classes"], about["label_names"][0]) == ("mobilenetv2_035", 5, "daisy")
    assert about["pretrained_cfg"]["input_size"] == [3, 64, 64]
    state = load_file(tmp_path / "model.safetensors")
    stem = tf.train.load_variable(str(trained / "model.ckpt-7"), "MobilenetV2/Conv/weights")
    np.testing.assert_array_equal(state["conv_stem.weight"].transpose(2, 3, 1, 0), stem)


def test_a_net_that_timm_does_not_have_is_refused(mobilenet_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mobilenet_v1_025 is narrower .* of timm. Leave torch out of --formats"):
        export(mobilenet_folder, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not torch_run.can_run(), reason="PyTorch or timm is not installed")
def test_timm_loads_the_folder_by_itself_and_answers_as_the_check_says(trained: Path, tmp_path: Path) -> None:
    import timm
    import torch

    report = export(trained, tmp_path)
    assert report.files[0].difference.largest < 1e-5
    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    images = timm.data.resolve_model_data_config(model)
    assert (images["mean"], images["crop_mode"], images["input_size"]) == ([0.5] * 3, "squash", [3, 64, 64])
    assert model.pretrained_cfg["label_names"][0] == "daisy"
    with torch.inference_mode():
        assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 5)
