from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slim_train.interchange.layer_graph import Layer, LayerGraph
from slim_train.interchange.match_layers import match_layers, matched_values

STATISTICS = ("beta", "moving_mean", "moving_variance")


def batch_norm(weights: dict[str, Any]) -> LayerGraph:
    images = Layer("InputLayer", "images", (), {}, {}, (4, 4, 2))
    norm = Layer("BatchNormalization", "bn", ("images",), {"epsilon": 0.001}, weights, (4, 4, 2))
    return LayerGraph({"images": images, "bn": norm}, "bn")


OURS = {role: f"bn/{role}" for role in STATISTICS}
THEIRS = {role: np.ones(2, np.float32) for role in STATISTICS}


def test_batch_norm_without_gamma_fills_a_gamma_with_ones() -> None:
    match = match_layers(batch_norm({**OURS, "gamma": "bn/gamma"}), batch_norm(THEIRS))
    values = matched_values(match, {f"bn/{role}": (2,) for role in ("gamma", *STATISTICS)})
    np.testing.assert_array_equal(values["bn/gamma"], [1.0, 1.0])


def test_a_gamma_that_the_net_does_not_have_is_a_difference() -> None:
    match = match_layers(batch_norm(OURS), batch_norm({**THEIRS, "gamma": np.full(2, 5.0, np.float32)}))
    assert match.difference.startswith("bn of the file and bn of the net differ: weights ['beta', 'gamma'")
    assert match.pairs == ()


@pytest.mark.parametrize("role", STATISTICS)
def test_any_other_weight_that_is_missing_is_a_difference(role: str) -> None:
    theirs = {name: value for name, value in THEIRS.items() if name != role}
    assert "weights" in match_layers(batch_norm(OURS), batch_norm(theirs)).difference
