"""Weights of timm as checkpoints."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train.checkpoints.resolve import becomes_checkpoint, resolve_checkpoint
from slim_train.errors import UsageError
from slim_train.inference.trained_model import find_trained_model
from slim_train.interchange import torch_run
from slim_train.interchange.converted import Facts
from slim_train.interchange.torch_checkpoint import convert_torch
from slim_train.interchange.torch_config import timm_config
from slim_train.interchange.torch_files import write_state_dict
from slim_train.interchange.torch_names import MODELS
from slim_train.interchange.torch_sources import SOURCES
from slim_train.interchange.torch_state import to_state_dict
from slim_train.nets.factory import get_network_fn
from slim_train.tf_compat import slim, tf

safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="the extra [torch] is not installed")
NET = "mobilenet_v3_small_minimalistic"
ARCHITECTURE = "tf_mobilenetv3_small_minimal_100"
LABELS = ("daisy", "roses", "tulips")


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    """Variables of a net."""
    random = np.random.default_rng(0)
    with tf.Graph().as_default():
        get_network_fn(NET, len(LABELS))(tf.placeholder(tf.float32, [1, 64, 64, 3]))
        shapes = {variable.op.name: variable.shape.as_list() for variable in slim.get_model_variables()}
    return {name: random.uniform(0.1, 1.0, shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def state(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return to_state_dict(MODELS[NET], values)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """``write(state, config)``: weights, and beside them timm's config if one is given."""

    def files(tensors: dict[str, Any], config: Any = None) -> Path:
        safetensors_numpy.save_file(tensors, tmp_path / "model.safetensors")
        if config is not None:
            (tmp_path / "config.json").write_text(json.dumps(config))
        return tmp_path / "model.safetensors"

    return files


def convert(path: Path) -> Any:
    return convert_torch(path, path.with_name("config.json"))


@pytest.mark.slow
def test_variables_come_back_to_the_bit_and_all_else_that_was_exported(
    values: dict[str, np.ndarray], state: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "moved.safetensors"
    write_state_dict(path, state, timm_config(MODELS[NET], LABELS, 64, 3, "vgg"))
    assert becomes_checkpoint(str(path))
    reader = tf.train.load_checkpoint(resolve_checkpoint(str(path)))
    assert set(reader.get_variable_to_shape_map()) == set(values)
    for name, value in values.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value)
    assert convert(path).facts == Facts(NET, 64, 3, "vgg", LABELS)
    trained = find_trained_model(path)
    assert (trained.spec.name, trained.spec.image_size, trained.spec.preprocessing) == (NET, 64, "vgg")
    assert trained.labels == LABELS


def test_a_file_alone_is_known_by_its_names_and_shapes(
    write: Callable[..., Path], state: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        facts = convert(write(state)).facts
    assert facts == Facts(None, 224, 3, "inception", None)  # the net is found again in the checkpoint
    assert f"it is taken for timm's {ARCHITECTURE} with timm's default" in caplog.text


def test_a_config_beside_it_says_how_images_are_prepared(
    write: Callable[..., Path], state: dict[str, np.ndarray]
) -> None:
    images = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "input_size": [3, 160, 160]}
    config = {"architecture": ARCHITECTURE, "pretrained_cfg": images, "model_args": {"num_classes": 3}}
    assert convert(write(state, config)).facts == Facts(None, 160, 3, "imagenet", None)
    images["std"] = [1.0, 1.0, 1.0]
    with pytest.raises(UsageError, match=r"mean \[0.485.*for which there is no preprocessing: imagenet, inception"):
        convert(write(state, config))


def test_padding_on_all_sides_takes_an_image_size_at_which_it_is_the_same(
    write: Callable[..., Path], state: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    config = {"architecture": ARCHITECTURE, "model_args": {"pad_type": ""}}
    with caplog.at_level(logging.WARNING):
        assert convert(write(state, config)).facts.image_size == 225
    assert "one above a multiple of 32: 225 is taken instead of 224" in caplog.text


def change(state: dict[str, np.ndarray], **changes: np.ndarray | None) -> dict[str, np.ndarray]:
    return {key: value for key, value in {**state, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"conv_head.bias": None}, r"1 of \d+ tensors are missing, first conv_head.bias \[1024\]"),
        ({"classifier.weight": None}, "classifier.weight is missing"),
        ({"conv_head.bias": np.zeros(7, np.float32)}, r"conv_head.bias has shape \[7\], not \[1024\]"),
        ({"head.extra": np.zeros((2, 3), np.float32)}, r"1 tensors are not of it, first head.extra \[2, 3\]"),
    ],
)
def test_missing_keys_and_wrong_shapes_are_named(
    write: Callable[..., Path], state: dict[str, np.ndarray], changes: dict[str, Any], words: str
) -> None:
    path = write(change(state, **changes), {"architecture": ARCHITECTURE})
    with pytest.raises(UsageError, match=f"is not a state dict of timm's {ARCHITECTURE}: {words}"):
        convert(path)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"architecture": "resnet50"}, "weights of resnet50, and no net of the zoo computes what that does"),
        ({"architecture": ARCHITECTURE, "model_args": {"act_layer": "gelu"}}, "was made with act_layer=gelu"),
        ({"architecture": ARCHITECTURE, "pretrained_cfg": {"input_size": ["x"]}}, "its config is not one of timm"),
        ({"architecture": ARCHITECTURE, "model_args": [1]}, "its config is not one of timm"),
    ],
)
def test_a_model_that_no_net_equals_is_refused(
    write: Callable[..., Path], state: dict[str, np.ndarray], config: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        convert(write(state, config))


def test_other_files_are_refused_in_a_line(tmp_path: Path, write: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="does not hold the weights of a model of timm .*first are lstm.weight"):
        convert(write({"lstm.weight": np.zeros(3, np.float32)}))
    (tmp_path / "net.pth").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"net.pth is a pickle.*save_file\(torch.load\('net.pth', weights_only=True\)"):
        resolve_checkpoint(str(tmp_path / "net.pth"))


@pytest.mark.slow
@pytest.mark.skipif(not torch_run.can_run(), reason="PyTorch or timm is not installed")
@pytest.mark.parametrize("architecture", list(SOURCES))
def test_the_net_answers_as_timms_own_model_does(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm
    import torch

    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    model = timm.create_model(architecture, num_classes=7)
    images = timm.data.resolve_model_data_config(model)
    mean, std = np.float32(images["mean"]), np.float32(images["std"])
    trained_like(model, to_torch(patches(images["input_size"][-1]), mean, std))
    safetensors_numpy.save_file(
        {key: value.numpy() for key, value in model.state_dict().items()}, tmp_path / "a.safetensors"
    )
    config = {
        "architecture": architecture,
        "pretrained_cfg": {key: model.pretrained_cfg[key] for key in ("mean", "std")},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    trained = find_trained_model(tmp_path / "a.safetensors")
    pixels = patches(trained.spec.image_size)
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        inputs, scores = trained.build()
        trained.restore(session)
        found = session.run(scores, {inputs: pixels})
    with torch.inference_mode():
        expected = model(to_torch(pixels, mean, std)).softmax(dim=1).numpy()
    assert expected.std() > 0.02
    # Inception v4 with random weights amplifies rounding.
    np.testing.assert_allclose(found, expected, atol=3e-4 if architecture == "inception_v4" else 1e-4)


def patches(size: int) -> np.ndarray:
    """Six images of soft patches of color, float32 [6, size, size, 3] in 0..255."""
    from PIL import Image

    random = np.random.default_rng(0)
    small = [Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(6)]
    return np.stack([np.asarray(image.resize((size, size)), np.float32) for image in small])


def to_torch(pixels: np.ndarray, mean: np.ndarray, std: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(((pixels / 255 - mean) / std).transpose(0, 3, 1, 2)))


def trained_like(model: Any, inputs: Any) -> None:
    """Give a model of timm other scales and offsets, and the statistics of batch norm that a training leaves."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, 0.0, 0.2)
            module.momentum = 1.0
    for name, parameter in model.named_parameters():
        if name.endswith(".bias") and ".bn" not in name:
            torch.nn.init.normal_(parameter, 0.0, 0.2)
    torch.nn.init.normal_(dict(model.named_modules())[model.pretrained_cfg["classifier"]].weight, 0.0, 0.05)
    model.train()
    with torch.no_grad():
        model(inputs)
    model.eval()
