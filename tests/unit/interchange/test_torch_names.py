"""The names of layers in TF-Slim and in timm, against the variables of the nets and state dicts of timm 1.0.31."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from slim_train.interchange.torch_names import MODELS, TimmModel, why_not
from slim_train.interchange.torch_state import to_state_dict
from slim_train.nets.factory import get_network_fn, net_names
from slim_train.tf_compat import slim, tf

# The first digits of SHA-256 of the sorted lines "key shape" of timm's state dicts for 5 classes.
RECORDED = {
    "inception_resnet_v2": "dd3ab703bc55e520",
    "inception_v4": "cf8a90edff9c19c1",
    "mobilenetv1_100": "f7a5def10c4069ed",
    "mobilenetv2_035": "688156eaa352127b",
    "mobilenetv2_050": "23e2154e6e3c463a",
    "mobilenetv2_100": "04480dc140242dbb",
    "mobilenetv2_140": "79534cbc5e13b3e8",
    "tf_mobilenetv3_large_100": "b47f2789f4260057",
    "tf_mobilenetv3_large_minimal_100": "0bfe02002d992b5c",
    "tf_mobilenetv3_small_100": "fc181ef59c935838",
    "tf_mobilenetv3_small_minimal_100": "920917537f24e3e5",
    "vgg11": "629f74a6b07c2f6c",
    "vgg16": "3cba59b33e1f7633",
    "vgg19": "356227e6b0c72538",
}
QUICK = ("mobilenet_v3_small",)


def models() -> list[Any]:
    return [pytest.param(MODELS[net], id=net, marks=() if net in QUICK else pytest.mark.slow) for net in MODELS]


@pytest.mark.parametrize("model", models())
def test_every_variable_of_a_net_has_its_place_in_the_state_dict_of_timm(model: TimmModel) -> None:
    with tf.Graph().as_default():
        network_fn = get_network_fn(model.net, 5)
        network_fn(tf.placeholder(tf.float32, [1, network_fn.default_image_size, network_fn.default_image_size, 3]))
        variables = slim.get_model_variables()
    values = {variable.op.name: np.zeros(variable.shape.as_list(), np.float32) for variable in variables}
    named = [tensor.variable for layer in model.layers for tensor in layer.tensors()]
    others = [name for name in values if name not in named]
    assert sorted(named) == sorted(set(values) - set(others))
    assert all(model.auxiliary and name.startswith(f"{model.auxiliary}/") for name in others)
    lines = sorted(f"{key} {array.shape}\n" for key, array in to_state_dict(model, values).items())
    assert hashlib.sha256("".join(lines).encode()).hexdigest()[:16] == RECORDED[model.architecture]


def test_each_net_of_the_zoo_has_a_model_or_a_reason() -> None:
    assert set(MODELS) < set(net_names())
    assert why_not("inception_v3") == (
        "does not average the padding at the borders of its poolings, and timm's inception_v3 does"
    )
    assert why_not("lenet") == "has no model in timm"
    assert not any(why_not(net) != "has no model in timm" for net in MODELS)
