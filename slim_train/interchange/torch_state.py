"""Variables of a net as a state dict of timm's model, and back. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from slim_train.interchange.torch_names import CONV, DEPTHWISE, LINEAR, VECTOR, TimmModel

Arrays = Mapping[str, NDArray[np.generic]]

_AXES = {CONV: (3, 2, 0, 1), DEPTHWISE: (2, 3, 0, 1)}


def to_state_dict(model: TimmModel, variables: Arrays, temperature: float = 1.0) -> dict[str, NDArray[np.generic]]:
    """Return the state dict of timm's model.

    Args:
      model: the pair.
      variables: of the net, by name; those of an auxiliary head are left out.
      temperature: divides the logits.

    Returns:
      What ``load_state_dict(strict=True)`` takes: float32, and int64 scalars that count the batches of batch norm.
    """
    state: dict[str, NDArray[np.generic]] = {}
    for layer in model.layers:
        scale = np.float32(temperature if layer is model.layers[-1] else 1.0)
        for tensor in layer.tensors():
            state[tensor.key] = _to_torch(variables[tensor.variable].astype(np.float32) / scale, tensor.layout)
        if layer.norm:
            if not layer.has_gamma:
                state[f"{layer.norm}.weight"] = np.ones_like(state[f"{layer.norm}.bias"])
            state[f"{layer.norm}.num_batches_tracked"] = np.zeros((), np.int64)
    return state


def _to_torch(values: NDArray[np.generic], layout: str) -> NDArray[np.generic]:
    if layout == VECTOR:
        return values
    if layout == LINEAR:
        values = values.reshape(values.shape[-2:]).T
    else:
        values = values.transpose(_AXES[layout])
    return np.ascontiguousarray(values)
