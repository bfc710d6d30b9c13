from __future__ import annotations

import re

import pytest

from slim_train.errors import UsageError
from slim_train.nets import factory
from slim_train.nets.costs import Costs, count_costs, flops_of, known_costs
from slim_train.tf_compat import slim, tf

_QUICK_TO_BUILD = re.compile(r"lenet|cifarnet|alexnet_v2|overfeat|vgg_16|mobilenet_v1_025")

# Millions of multiply-adds, from research/slim's pages and the paper of PNASNet.
_PUBLISHED = {
    "mobilenet_v1": 569,
    "mobilenet_v1_050": 150,
    "mobilenet_v1_025": 41,
    "mobilenet_v2": 300,
    "mobilenet_v2_140": 582,
    "mobilenet_v2_050": 97,
    "mobilenet_v2_035": 59,
    "mobilenet_v3_large": 217,
    "mobilenet_v3_large_minimalistic": 209,
    "mobilenet_v3_edge_tpu": 990,
    "mobilenet_v3_edge_tpu_075": 624,
    "nasnet_mobile": 564,
    "nasnet_large": 23_800,
    "pnasnet_mobile": 588,
    "pnasnet_large": 25_000,
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if _QUICK_TO_BUILD.fullmatch(name) else pytest.mark.slow)
        for name in factory.net_names()
    ],
)
def test_what_a_record_says_of_costs_is_what_its_graph_has(name: str) -> None:
    record = factory.get_record(name)
    if record.flops is None:
        pytest.skip("the record does not say")
    assert count_costs(record) == Costs(record.num_parameters or 0, record.flops)


@pytest.mark.parametrize(("name", "millions"), _PUBLISHED.items())
def test_operations_are_twice_the_published_multiply_adds(name: str, millions: int) -> None:
    assert factory.get_record(name).flops == pytest.approx(2e6 * millions, rel=0.01)


def test_every_product_of_a_layer_counts_two_operations() -> None:
    with tf.Graph().as_default() as graph:
        images = tf.zeros([1, 8, 6, 3])
        slim.conv2d(images, 5, [3, 2], stride=2, padding="SAME")
        assert flops_of(graph.get_operations()) == 2 * (4 * 3 * 5) * (3 * 2 * 3)
    with tf.Graph().as_default() as graph:
        slim.separable_conv2d(tf.zeros([1, 8, 6, 3]), 7, 3, depth_multiplier=2)
        assert flops_of(graph.get_operations()) == 2 * (8 * 6 * 6) * 9 + 2 * (8 * 6 * 7) * 6
    with tf.Graph().as_default() as graph:
        slim.fully_connected(tf.zeros([1, 11]), 13)
        assert flops_of(graph.get_operations()) == 2 * 11 * 13


@pytest.mark.slow
def test_convolutions_of_larger_images_cost_more_with_the_same_parameters() -> None:
    record = factory.get_record("mobilenet_v1_025")
    small, large = count_costs(record, 32), count_costs(record, 64)
    head = 2 * record.feature_width * record.num_classes
    assert small.num_parameters == large.num_parameters == record.num_parameters
    assert large.flops - head == 4 * (small.flops - head)


@pytest.mark.slow
def test_an_auxiliary_head_costs_nothing_at_inference() -> None:
    record = factory.get_record("inception_v3")
    with tf.Graph().as_default():
        factory.get_network_fn(record.name, record.num_classes)(tf.zeros([1, 75, 75, 3]))
        auxiliary = [v for v in tf.trainable_variables() if v.op.name.startswith("InceptionV3/AuxLogits")]
        everything = sum(variable.shape.num_elements() for variable in tf.trainable_variables())
        assert auxiliary
        assert record.num_parameters == everything - sum(variable.shape.num_elements() for variable in auxiliary)


def test_known_costs_are_those_of_the_asked_image_size() -> None:
    record = factory.get_record("lenet")
    assert known_costs(record).flops == known_costs(record, 28).flops == record.flops
    assert known_costs(record, 56) == count_costs(record, 56) != known_costs(record, 28)


def test_images_that_are_too_small_have_no_costs() -> None:
    with pytest.raises(UsageError, match="67x67"):
        count_costs(factory.get_record("alexnet_v2"), 66)
