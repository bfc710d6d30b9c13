"""timm itself, where it is installed: CONTRIBUTING.md says how. Each pair on real images, if there are some."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slim_train.interchange import torch_run
from slim_train.interchange.torch_config import timm_config
from slim_train.interchange.torch_files import write_state_dict
from slim_train.interchange.torch_names import MODELS, TimmModel
from slim_train.interchange.torch_state import to_state_dict
from slim_train.nets.factory import get_network_fn, get_record
from slim_train.tf_compat import slim, tf

CLASSES = 11


def test_it_is_said_whether_pytorch_and_timm_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"torch", "timm", "safetensors"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in installed else None)
    assert torch_run.can_run()
    installed.remove("timm")
    assert not torch_run.can_run()


@pytest.mark.slow
@pytest.mark.skipif(not torch_run.can_run(), reason="PyTorch, timm or safetensors is not installed")
@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_timm_answers_as_the_net_does(
    model: TimmModel, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    size = get_record(model.net).default_image_size
    pixels = images(size)
    inputs = pixels * np.float32(2 / 255) - 1
    values = trained_like(model.net, inputs)
    labels = [str(number) for number in range(CLASSES)]
    path = tmp_path / "model.safetensors"
    write_state_dict(path, to_state_dict(model, values), timm_config(model, labels, size, 3, "inception"))
    with tf.Graph().as_default(), tf.Session() as session:
        logits, _ = get_network_fn(model.net, CLASSES)(tf.constant(inputs))
        for variable in slim.get_model_variables():
            variable.load(values[variable.op.name], session)
        expected = session.run(tf.nn.softmax(logits))
    assert expected.std() > 0.01  # answers that are all alike would compare nothing
    found = torch_run.scores(path, pixels)
    record_property("largest_difference", float(np.abs(found - expected).max()))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def images(size: int) -> np.ndarray:
    """Photographs, or patches of color without any: float32 [6, size, size, 3] in 0..255."""
    folder = Path(os.environ.get("SLIM_TRAIN_DATA", "missing"))
    files = sorted(folder.glob("images/*.[bj][mp][pg]"))[:3] + sorted(folder.glob("flowers/*/*.jpg"))[:300:100]
    random = np.random.default_rng(0)
    opened = [Image.open(file).convert("RGB") for file in files] or [
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(6)
    ]
    return np.stack([np.asarray(image.resize((size, size)), np.float32) for image in opened])


def trained_like(net: str, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return random weights, with the statistics of batch norm that a training on ``inputs`` would have left."""
    random = np.random.default_rng(0)
    with tf.Graph().as_default(), tf.Session() as session:
        get_network_fn(net, CLASSES, is_training=True, batch_norm_decay=0.0)(tf.constant(inputs))
        session.run(tf.global_variables_initializer())
        variables = slim.get_model_variables()
        for variable in variables:
            shape = variable.shape.as_list()
            if variable.op.name.endswith("/gamma"):
                variable.load(random.uniform(0.7, 1.3, shape), session)
            if variable.op.name.endswith(("/beta", "/biases")):
                variable.load(random.normal(0, 0.2, shape), session)
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        return {variable.op.name: session.run(variable) for variable in variables}
