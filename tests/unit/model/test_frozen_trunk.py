"""What stays out of a training graph of which only a part is trained."""

from __future__ import annotations

import numpy as np
import pytest

from deployment.model_deploy import DeploymentConfig
from slim_train.model.frozen_trunk import FrozenTrunk
from slim_train.model.spec import ModelSpec
from slim_train.nets.factory import get_record
from slim_train.optim.schedule import Schedule
from slim_train.preprocessing.factory import get_recipe
from slim_train.tf_compat import slim, tf
from slim_train.training.graph import build_training_graph
from slim_train.training_options import ModelOptions, OptimizerOptions


def training_graph(net, trained, image_size=64, **model_options):
    """The training op, in the default graph."""

    def next_batch():
        return {"image": tf.random.stateless_normal([4, image_size, image_size, 3], [0, 0]), "label": tf.range(4)}

    return build_training_graph(
        ModelSpec(get_record(net), 5, 0, image_size, 3, get_recipe("inception")),
        ModelOptions(**model_options),
        OptimizerOptions(optimizer="momentum"),
        Schedule(100, 4, num_epochs_per_decay=2.0),
        DeploymentConfig(clone_on_cpu=True),
        next_batch,
        trainable_scopes=trained,
    )


def updated_layers():
    """Scopes of the layers whose statistics are updated, in the default graph."""
    statistics = {op.inputs[0].op.name for op in tf.get_collection(tf.GraphKeys.UPDATE_OPS)}
    return {name.rpartition("/")[0].removesuffix("/BatchNorm") for name in statistics}


def operations_of_a_step(graph, *names):
    """How many operations TensorFlow runs in a training step whose types have these in their names."""
    metadata = tf.RunMetadata()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(graph.train_op, options=tf.RunOptions(output_partition_graphs=True), run_metadata=metadata)
    types = [node.op for partition in metadata.partition_graphs for node in partition.node]
    return [sum(name in type_ for type_ in types) for name in names]


GRADIENTS = ("BackpropFilter", "BackpropInput", "BatchNormGrad")


def test_training_the_head_computes_no_gradient_and_no_statistics_in_the_trunk():
    with tf.Graph().as_default():
        graph = training_graph("mobilenet_v1_025", ("MobilenetV1/Logits",))
        assert operations_of_a_step(graph, *GRADIENTS) == [1, 0, 0]
        assert updated_layers() == set()


def test_gradients_and_statistics_end_at_the_lowest_trained_layer():
    with tf.Graph().as_default():
        graph = training_graph("mobilenet_v1_025", ("MobilenetV1/Conv2d_13_depthwise", "MobilenetV1/Logits"))
        # Weights of the logits and of the depthwise layer; what comes before these, and the pointwise layer between.
        assert operations_of_a_step(graph, *GRADIENTS) == [2, 2, 2]
        assert updated_layers() == {f"MobilenetV1/Conv2d_13_{layer}" for layer in ("depthwise", "pointwise")}


def test_a_trained_layer_of_a_block_leaves_the_branches_beside_it_frozen():
    with tf.Graph().as_default():
        training_graph("inception_v1", ("InceptionV1/Mixed_5c/Branch_1", "InceptionV1/Logits"))
        trained = "InceptionV1/Mixed_5c/Branch_1"
        assert updated_layers() == {f"{trained}/Conv2d_0a_1x1", f"{trained}/Conv2d_0b_3x3"}


@pytest.mark.slow
def test_batch_norm_that_the_net_calls_itself_is_frozen_below_too():
    with tf.Graph().as_default():
        training_graph("resnet_v2_50", ("resnet_v2_50/block4", "resnet_v2_50/postnorm", "resnet_v2_50/logits"))
        layers = updated_layers()
        assert "resnet_v2_50/postnorm" in layers
        assert all(name.startswith(("resnet_v2_50/block4/", "resnet_v2_50/postnorm")) for name in layers)


@pytest.mark.slow
@pytest.mark.parametrize("trained", [(), ("MobilenetV1/Conv2d_0",)])
def test_nothing_is_frozen_where_everything_or_the_first_layer_is_trained(trained):
    with tf.Graph().as_default():
        training_graph("mobilenet_v1_025", trained)
        layers = [variable for variable in slim.get_model_variables() if variable.op.name.endswith("moving_mean")]
        assert len(updated_layers()) == len(layers) == 27


def test_false_leaves_the_statistics_of_a_frozen_trunk_moving():
    with tf.Graph().as_default():
        training_graph("mobilenet_v1_025", ("MobilenetV1/Logits",), freeze_batch_norm="false")
        assert len(updated_layers()) == 27


def test_steps_leave_every_value_of_the_frozen_trunk_as_it_was():
    with tf.Graph().as_default():
        trained = ("MobilenetV1/Conv2d_13_pointwise", "MobilenetV1/Logits")
        graph = training_graph("mobilenet_v1_025", trained)
        variables = {variable.op.name: variable for variable in graph.model_variables}
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            before = session.run(variables)
            for _ in range(2):
                session.run(graph.train_op)
            after = session.run(variables)
    changed = {name for name in variables if not np.array_equal(before[name], after[name])}
    assert {name for name in changed if not name.startswith(trained)} == set()
    assert "MobilenetV1/Conv2d_13_pointwise/BatchNorm/moving_mean" in changed


def test_a_layer_is_in_the_trunk_until_a_trained_variable_comes_before_it():
    with tf.Graph().as_default():
        is_frozen = FrozenTrunk(("net/b",))
        with tf.variable_scope("net"):
            a = tf.get_variable("a/weights", [2]) * 2.0
            b = a * tf.get_variable("b/weights", [2])
            c = b + tf.get_variable("c/weights", [2])
        assert is_frozen(a, "net/a/BatchNorm")
        assert not is_frozen(b, "net/bn") and not is_frozen(c, "net/c/BatchNorm")
        assert not is_frozen(a, "net/b/BatchNorm"), "the layer itself is trained"
        assert is_frozen(a, "net/bb/BatchNorm"), "another name, though it begins alike"
