from __future__ import annotations

import numpy as np

from slim_train.interchange.torch_names import DEPTHWISE, LINEAR, Layer, TimmModel
from slim_train.interchange.torch_state import to_state_dict

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
