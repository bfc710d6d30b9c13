"""``st.list_models``."""

from __future__ import annotations

import json

import pytest

import slim_train as st
from slim_train.nets.factory import net_names


def test_all_nets_are_listed() -> None:
    assert [info.name for info in st.list_models()] == sorted(net_names())


def test_a_pattern_and_released_choose() -> None:
    names = {info.name for info in st.list_models("mobilenet*", released=True)}
    assert "mobilenet_v2" in names
    assert all(name.startswith("mobilenet") for name in names)
    assert all(not info.checkpoint_url for info in st.list_models(released=False))


def test_a_net_has_its_figures() -> None:
    (info,) = st.list_models("mobilenet_v1")
    assert (info.image_size, info.released) == (224, True)
    assert info.num_parameters == pytest.approx(4.2e6, rel=0.02)
    assert info.gflops == pytest.approx(1.14, rel=0.02)
    assert json.loads(json.dumps(info.to_dict()))["name"] == "mobilenet_v1"


def test_a_pattern_without_a_net_is_answered_with_the_nearest() -> None:
    with pytest.raises(st.UsageError, match="Did you mean resnet_v2_50"):
        st.list_models("resnet_v2_5O")


def test_a_notebook_shows_a_table() -> None:
    models = st.list_models("lenet")
    assert ">lenet</td>" in models._repr_html_()  # type: ignore[attr-defined]
