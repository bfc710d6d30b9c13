"""What a user knows better than the files of a model."""

from __future__ import annotations

import pytest

from slim_train.errors import UsageError
from slim_train.inference.overrides import ModelOverrides


def test_pixels_are_not_divided_by_nothing() -> None:
    with pytest.raises(UsageError, match="--input_std=0"):
        ModelOverrides(input_std=0.0)


def test_a_net_of_a_checkpoint_is_square() -> None:
    assert ModelOverrides(input_height=64, input_width=64).image_size() == 64
    assert ModelOverrides().image_size() is None
    with pytest.raises(UsageError, match="must be equal"):
        ModelOverrides(input_height=64).image_size()


@pytest.mark.parametrize(
    ("given", "describes"), [({"input_mean": 0.0}, True), ({"labels": ("a",)}, False), ({}, False)]
)
def test_nodes_and_scaling_describe_another_input(given, describes) -> None:
    assert ModelOverrides(**given).describes_input == describes
