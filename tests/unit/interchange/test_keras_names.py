from __future__ import annotations

import pytest

from slim_train.errors import UsageError
from slim_train.interchange.keras_names import layer_name, variable_names


@pytest.mark.parametrize(
    ("kind", "variables", "name"),
    [
        ("Conv2D", {"kernel": "Net/Conv/weights", "bias": "Net/Conv/biases"}, "Net.Conv"),
        ("BatchNormalization", {"beta": "bn/beta", "moving_mean": "bn/moving_mean"}, "bn"),
        ("Conv2D", {"kernel": "Net/sep/pointwise_weights"}, "Net.sep>pointwise_weights"),
        ("Dense", {"kernel": "fc/kernel", "bias": "fc/bias"}, "fc>kernel>bias"),
        ("Dense", {"kernel": "net/w/fc", "bias": "net/b/fc"}, "net>w.fc>b.fc"),
        ("Dense", {"kernel": "w1", "bias": "b1"}, ".>w1>b1"),
        ("Dense", {"kernel": "weights"}, ".>weights"),
    ],
)
def test_the_name_of_a_layer_tells_its_variables(kind: str, variables: dict[str, str], name: str) -> None:
    assert layer_name(kind, variables) == name
    assert variable_names(kind, name, tuple(variables)) == variables


def test_a_variable_whose_name_would_not_come_back_is_refused() -> None:
    with pytest.raises(UsageError, match=r"variable net/conv\.1/weights cannot be named in Keras"):
        layer_name("Conv2D", {"kernel": "net/conv.1/weights"})
