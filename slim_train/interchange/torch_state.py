"""Variables of a net as a state dict of timm's model, and back. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from slim_train.interchange.torch_names import CONV, DEPTHWISE, LINEAR, VECTOR, TimmModel

Arrays = Mapping[str, NDArray[np.generic]]

# Epsilon of batch norm in all nets that have a pair.
BN_EPS = 0.001
_AXES = {CONV: (3, 2, 0, 1), DEPTHWISE: (2, 3, 0, 1)}


def to_state_dict(model: TimmModel, variables: Arrays, temperature: float = 1.0) -> dict[str, NDArray[np.generic]]:
    """Return the state dict of timm's model.

    Args:
      model: the pair.
      variables: of the net, by name; an auxiliary head's are ignored.
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


def to_variables(
    model: TimmModel, state: Arrays, shapes: Mapping[str, Sequence[int]], bn_eps: float = BN_EPS
) -> dict[str, NDArray[np.float32]]:
    """Return the variables of the net, by name, without those of an auxiliary head.

    Args:
      model: the pair.
      state: a state dict whose names and shapes are those of timm's model.
      shapes: of the variables, by name.
      bn_eps: epsilon of timm's batch norm. TF-Slim's is :data:`BN_EPS`: if they differ, the scale makes up for it.
    """
    variables: dict[str, NDArray[np.float32]] = {}
    for layer in model.layers:
        for tensor in layer.tensors():
            values = _to_tensorflow(state[tensor.key].astype(np.float32), tensor.layout)
            variables[tensor.variable] = values.reshape(shapes[tensor.variable])
        if not layer.norm:
            continue
        scale = state[f"{layer.norm}.weight"].astype(np.float32)
        if bn_eps != BN_EPS:
            variance = state[f"{layer.norm}.running_var"].astype(np.float64)
            scale = (scale * np.sqrt((variance + BN_EPS) / (variance + bn_eps))).astype(np.float32)
        norm = f"{layer.scope}/BatchNorm"
        if layer.has_gamma:
            variables[f"{norm}/gamma"] = scale
        elif not (scale == 1).all():
            # A convolution that is scaled, and its mean with it, needs no scale after it.
            variables[f"{layer.scope}/weights"] = variables[f"{layer.scope}/weights"] * scale
            variables[f"{norm}/moving_mean"] = variables[f"{norm}/moving_mean"] * scale
    return variables


def torch_shape(shape: Sequence[int], layout: str) -> tuple[int, ...]:
    """Return the shape in PyTorch of a tensor with ``shape`` in TensorFlow."""
    if layout == VECTOR:
        return tuple(shape)
    if layout == LINEAR:
        return tuple(shape[:-3:-1])
    return tuple(shape[axis] for axis in _AXES[layout])


def _to_tensorflow(values: NDArray[np.float32], layout: str) -> NDArray[np.float32]:
    if layout in (VECTOR, LINEAR):
        return np.ascontiguousarray(values.T)
    return np.ascontiguousarray(values.transpose(np.argsort(_AXES[layout])))


def _to_torch(values: NDArray[np.generic], layout: str) -> NDArray[np.generic]:
    if layout == VECTOR:
        return values
    if layout == LINEAR:
        values = values.reshape(values.shape[-2:]).T
    else:
        values = values.transpose(_AXES[layout])
    return np.ascontiguousarray(values)
