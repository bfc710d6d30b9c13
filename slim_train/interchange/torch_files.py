"""Files of PyTorch weights, read and written without PyTorch: safetensors, never pickles. No TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slim_train.errors import UsageError

# Of the metadata in the file.
_CONFIG = "timm_config"


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


def read_metadata(path: Path) -> dict[str, Any] | None:
    """Return timm's config in the metadata of a file; None if it has none."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
    return json.loads(metadata[_CONFIG]) if _CONFIG in metadata else None
