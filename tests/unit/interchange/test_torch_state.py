from __future__ import annotations

import numpy as np

from slim_train.interchange.torch_names import DEPTHWISE, LINEAR, Layer, TimmModel
from slim_train.interchange.torch_state import BN_EPS, to_state_dict, to_variables, torch_shape

NET = TimmModel(
    "tiny",
    "timm_tiny",
    (
        Layer("tiny/conv", "conv", "bn1", has_gamma=False),
        Layer("tiny/depthwise", "conv_dw", "bn2", DEPTHWISE),
        Layer("tiny/logits", "fc", layout=LINEAR),
    ),
)
NORM = ("beta", "moving_mean", "moving_variance")


def variables() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {
        "tiny/conv/weights": (3, 2, 4, 5),
        **{f"tiny/conv/BatchNorm/{name}": (5,) for name in NORM},
        "tiny/depthwise/depthwise_weights": (3, 2, 5, 1),
        **{f"tiny/depthwise/BatchNorm/{name}": (5,) for name in ("gamma", *NORM)},
        "tiny/logits/weights": (1, 1, 5, 7),
        "tiny/logits/biases": (7,),
    }
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def test_axes_are_those_of_pytorch() -> None:
    values = variables()
    state = to_state_dict(NET, values)
    assert state["conv.weight"].shape == (5, 4, 3, 2)
    assert state["conv.weight"][4, 3, 2, 1] == values["tiny/conv/weights"][2, 1, 3, 4]
    assert state["conv_dw.weight"].shape == (5, 1, 3, 2)
    assert state["conv_dw.weight"][4, 0, 2, 1] == values["tiny/depthwise/depthwise_weights"][2, 1, 4, 0]
    assert state["fc.weight"].shape == (7, 5)
    assert state["fc.weight"][6, 4] == values["tiny/logits/weights"][0, 0, 4, 6]
    assert all(array.flags.c_contiguous for array in state.values())


def normalized(values: np.ndarray, state: dict[str, np.ndarray], eps: float) -> np.ndarray:
    deviation = np.sqrt(state["bn1.running_var"] + eps)
    return (values - state["bn1.running_mean"]) / deviation * state["bn1.weight"] + state["bn1.bias"]


def test_variables_come_back_to_the_bit() -> None:
    values = variables()
    shapes = {name: value.shape for name, value in values.items()}
    back = to_variables(NET, to_state_dict(NET, values), shapes)
    assert set(back) == set(values)
    for name, value in values.items():
        np.testing.assert_array_equal(back[name], value)


def test_another_epsilon_and_a_scale_that_the_net_lacks_change_no_output() -> None:
    values = {name: np.abs(value) for name, value in variables().items()}
    state = to_state_dict(NET, values)
    state["bn1.weight"] = np.float32([0.5, 2.0, -1.0, 1.0, 3.0])
    state["bn2.running_var"][0] = 1e-4  # as small as epsilon
    back = to_variables(NET, state, {name: value.shape for name, value in values.items()}, bn_eps=1e-5)
    inputs = np.random.default_rng(1).normal(size=(24,)).astype(np.float32)
    expected = normalized(inputs @ values["tiny/conv/weights"].reshape(24, 5), state, 1e-5)
    norm = {name: back[f"tiny/conv/BatchNorm/{name}"] for name in NORM}
    found = inputs @ back["tiny/conv/weights"].reshape(24, 5) - norm["moving_mean"]
    found = found / np.sqrt(norm["moving_variance"] + BN_EPS) + norm["beta"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    gamma = back["tiny/depthwise/BatchNorm/gamma"] / np.sqrt(state["bn2.running_var"] + BN_EPS)
    np.testing.assert_allclose(gamma, state["bn2.weight"] / np.sqrt(state["bn2.running_var"] + 1e-5), rtol=1e-5)


def test_shapes_are_those_that_values_get() -> None:
    values, state = variables(), to_state_dict(NET, variables())
    for layer in NET.layers:
        for tensor in layer.tensors():
            assert torch_shape(values[tensor.variable].shape, tensor.layout) == state[tensor.key].shape


def test_a_temperature_divides_the_classifier_alone() -> None:
    state, cooler = to_state_dict(NET, variables()), to_state_dict(NET, variables(), temperature=2.0)
    changed = {key for key in state if not np.array_equal(state[key], cooler[key])}
    assert changed == {"fc.weight", "fc.bias"}
    np.testing.assert_array_equal(cooler["fc.weight"] * 2.0, state["fc.weight"])


def test_batch_norm_without_a_scale_gets_one_of_ones_and_each_counts_its_batches() -> None:
    state = to_state_dict(NET, variables())
    assert state["bn1.weight"].tolist() == [1.0] * 5
    assert state["bn1.num_batches_tracked"].shape == ()
    assert state["bn1.num_batches_tracked"].dtype == np.int64
    assert {array.dtype.name for key, array in state.items() if "tracked" not in key} == {"float32"}
