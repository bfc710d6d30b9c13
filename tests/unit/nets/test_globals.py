"""Building a net changes nothing for anything else in the process. (test_zoo.py looks at scopes, for every net.)"""

from __future__ import annotations

import random
import re
import warnings
from typing import Any

import numpy as np
import pytest

from slim_train.nets import factory
from slim_train.tf_compat import slim, tf

_QUICK_TO_BUILD = re.compile(r"lenet|cifarnet|alexnet_v2|overfeat|vgg_a|mobilenet_v1_025")
_LAYERS = ("conv2d", "separable_conv2d", "fully_connected", "batch_norm", "max_pool2d", "avg_pool2d", "dropout")


def _defaults() -> dict[str, Any]:
    """What one part of a program can change behind the back of another."""
    return {
        "eager execution": tf.executing_eagerly(),
        "resource variables": tf.resource_variables_enabled(),
        "equality of tensors": bool(tf.constant(1) == tf.constant(1)),
        "control flow": tf.control_flow_v2_enabled(),
        "seed of operations": tf.get_seed(None),
        "random numbers of Python": random.getstate(),
        "random numbers of NumPy": np.random.get_state()[1].tolist(),
        "verbosity": tf.logging.get_verbosity(),
        "warnings": list(warnings.filters),
        "layers": [getattr(slim, name) for name in _LAYERS],
        "arg scope": slim.current_arg_scope(),
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if _QUICK_TO_BUILD.fullmatch(name) else pytest.mark.slow)
        for name in factory.net_names()
    ],
)
def test_building_a_net_changes_no_default(name: str) -> None:
    record = factory.get_record(name)
    before, graph = _defaults(), tf.get_default_graph()
    in_default_graph = len(graph.get_operations())
    with tf.Graph().as_default():
        images = tf.zeros([1, record.min_image_size, record.min_image_size, record.channels])
        factory.get_network_fn(name, 3, weight_decay=1e-4, is_training=True)(images)
    after = _defaults()
    assert [what for what in before if before[what] != after[what]] == []
    assert tf.get_default_graph() is graph
    assert len(graph.get_operations()) == in_default_graph
