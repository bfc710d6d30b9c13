"""Files of PyTorch weights, read and written without PyTorch: safetensors, never pickles. No TensorFlow."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slim_train.errors import UsageError

# Of the metadata in the file.
_CONFIG = "timm_config"
# Twice the largest net in 64 bits. More is read in vain.
_MAX_BYTES = 3 << 30
_MAX_CONFIG_BYTES = 64 << 20
_FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16}


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file holds, without the numbers.

    Attributes:
      shapes: of the tensors, by name.
      config: timm's config in the metadata; None if there is none.
    """

    shapes: Mapping[str, tuple[int, ...]]
    config: dict[str, Any] | None


def require_safetensors(flag: str) -> None:
    """Check that the package safetensors is installed.

    Args:
      flag: what asks for it, for the error.

    Raises:
      UsageError: it is not.
    """
    try:
        import safetensors.numpy  # noqa: F401
    except ImportError as error:
        raise UsageError(f"{flag} requires the package safetensors: pip install 'slim-train[torch]'.") from error


def write_state_dict(path: Path, state: Mapping[str, NDArray[np.generic]], config: Mapping[str, Any]) -> None:
    """Write a state dict as safetensors, with timm's config in its metadata, which a file that is moved keeps."""
    from safetensors.numpy import save

    metadata = {"format": "pt", _CONFIG: json.dumps(config, ensure_ascii=False)}
    path.write_bytes(save(dict(state), metadata=metadata))


def read_header(path: Path) -> Header:
    """Return the names and shapes in a safetensors file.

    Raises:
      UsageError: it is damaged, too large, or another kind of file.
    """
    from safetensors import SafetensorError, safe_open

    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise UsageError(f"{path} has {size / 1e9:.1f} GB: more than the weights of any net of the zoo.")
    with path.open("rb") as file:
        if file.read(23) == b"version https://git-lfs":
            raise UsageError(f"{path} is a pointer of Git LFS, not the file itself: run 'git lfs pull' there.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise UsageError(f"{path} is damaged, or not a safetensors file: {error}.") from error
    return Header(shapes, _parse(metadata.get(_CONFIG, "")))


def read_config(path: Path) -> dict[str, Any] | None:
    """Return timm's config in a JSON file; None if there is no such file, or no object in it."""
    try:
        return _parse(path.read_text(encoding="utf-8")) if path.stat().st_size < _MAX_CONFIG_BYTES else None
    except (OSError, UnicodeDecodeError):
        return None


def _parse(text: str) -> dict[str, Any] | None:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) else None


def read_state_dict(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the numbers of a file that :func:`read_header` has accepted, in float32, without those that are whole.

    Raises:
      UsageError: a tensor has another type than float.
    """
    from safetensors import SafetensorError, deserialize

    try:
        tensors = deserialize(path.read_bytes())
    except (SafetensorError, ValueError, OverflowError) as error:
        raise UsageError(f"{path} is damaged, or not a safetensors file: {error}.") from error
    state = {}
    for key, tensor in tensors:
        kind, data, shape = tensor["dtype"], tensor["data"], tensor["shape"]
        if kind == "I64":  # the batches that batch norm has seen
            continue
        if kind == "BF16":
            values = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
        elif kind in _FLOATS:
            values = np.frombuffer(data, _FLOATS[kind]).astype(np.float32)
        else:
            raise UsageError(f"{path}: {key} is of type {kind}. Weights of floats are needed, not quantized ones.")
        state[key] = values.reshape(shape)
    return state
