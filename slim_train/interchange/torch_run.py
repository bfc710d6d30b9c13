"""timm's answers, where PyTorch and timm are installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slim_train.interchange.torch_files import read_header


def can_run() -> bool:
    """Return whether PyTorch and timm are installed."""
    return all(importlib.util.find_spec(name) for name in ("torch", "timm", "safetensors"))


def scores(path: Path, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of a file that :func:`torch_files.write_state_dict` wrote, by timm on the CPU.

    Args:
      path: the file. timm's model must take its weights with ``strict=True``.
      pixels: [N, height, width, channels] in 0..255.

    Returns:
      [N, classes].
    """
    import timm
    import torch
    from safetensors.torch import load_file

    config = read_header(path).config
    assert config is not None, f"{path} has no config of timm"
    model = timm.create_model(
        config["architecture"], pretrained=False, num_classes=config["num_classes"], **config["model_args"]
    )
    model.load_state_dict(load_file(path), strict=True)
    model.eval()
    mean, std = (np.float32(config["pretrained_cfg"][key]) for key in ("mean", "std"))
    inputs = ((pixels / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        return model(torch.from_numpy(np.ascontiguousarray(inputs))).softmax(dim=1).numpy()
