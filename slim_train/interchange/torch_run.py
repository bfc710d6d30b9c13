"""timm's answers, where PyTorch and timm are installed.

They are computed in another process: PyTorch for GPUs crashes if it is imported after TensorFlow.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.storage import path_of
from slim_train.errors import RunError
from slim_train.interchange.torch_files import read_header

_PIXELS, _SCORES = "pixels.npy", "scores.npy"


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

    Raises:
      RunError: timm fails.
    """
    paths = [str(path_of(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with tempfile.TemporaryDirectory() as folder:
        np.save(path_of(folder) / _PIXELS, pixels)
        command = [sys.executable, "-m", "slim_train.interchange.torch_run", str(path), folder]
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
            raise RunError(f"timm cannot compute the scores of {path}: {reason}")
        return np.load(path_of(folder) / _SCORES)


def _compute(path: Path, folder: Path) -> None:
    """Write the scores of the pixels in a folder into it."""
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
    inputs = ((np.load(folder / _PIXELS) / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        found = model(torch.from_numpy(np.ascontiguousarray(inputs))).softmax(dim=1).numpy()
    np.save(folder / _SCORES, found)


if __name__ == "__main__":
    _compute(path_of(sys.argv[1]), path_of(sys.argv[2]))
