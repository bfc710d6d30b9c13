from __future__ import annotations

import logging
import socket
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deployment.model_deploy import DeploymentConfig, create_clones, deploy, optimize_clones, session_config
from slim_train.tf_compat import slim, tf

IMAGES = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 5, size=32)


def on_cpus(num_clones: int, **values: Any) -> DeploymentConfig:
    """Clones on logical CPU devices of their own, which stand for GPUs."""
    return DeploymentConfig(num_clones=num_clones, clone_on_cpu=True, num_cpu_devices=num_clones, **values)


def parts(num_clones: int) -> Callable[[], tuple[Any, Any]]:
    """Gives each clone its own part of the 32 images."""
    batches = zip(np.split(IMAGES, num_clones), np.split(LABELS, num_clones), strict=True)
    return lambda: tuple(map(tf.constant, next(batches)))


def small_net(next_batch: Callable[[], tuple[Any, Any]], weight_decay: float = 0.1, batch_norm: bool = False) -> Any:
    """A convolution and a dense layer, whose initial values do not depend on seeds."""
    images, labels = next_batch()
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        weights_initializer=lambda shape, dtype, partition_info=None: tf.constant(
            np.sin(np.arange(np.prod(shape))).reshape(shape), dtype
        ),
    ):
        net = slim.conv2d(images, 4, 3, normalizer_fn=slim.batch_norm if batch_norm else None, scope="conv")
        logits = slim.fully_connected(slim.flatten(net), 5, activation_fn=None, scope="logits")
    tf.losses.sparse_softmax_cross_entropy(labels, logits)
    return logits


def sgd() -> Any:
    return tf.train.GradientDescentOptimizer(0.1)


def loss_and_gradients(num_clones: int, batch_norm: bool = False) -> tuple[float, dict[str, np.ndarray]]:
    config = on_cpus(num_clones)
    with tf.Graph().as_default(), tf.Session(config=session_config(config)) as session:
        clones = create_clones(config, small_net, [parts(num_clones)], {"batch_norm": batch_norm})
        loss, gradients = optimize_clones(clones, sgd())
        session.run(tf.global_variables_initializer())
        return session.run((loss, {variable.op.name: gradient for gradient, variable in gradients}))


def test_four_clones_of_8_images_equal_one_of_32() -> None:
    loss, gradients = loss_and_gradients(1)
    loss_of_four, gradients_of_four = loss_and_gradients(4)
    assert loss_of_four == pytest.approx(loss, rel=1e-5)
    assert (
        list(gradients_of_four) == list(gradients) == ["conv/weights", "conv/biases", "logits/weights", "logits/biases"]
    )
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradients_of_four[name], gradient, rtol=1e-3, atol=1e-5, err_msg=name)


def test_batch_norm_normalizes_by_each_clones_own_images() -> None:
    assert loss_and_gradients(4, batch_norm=True)[0] != pytest.approx(
        loss_and_gradients(1, batch_norm=True)[0], rel=1e-3
    )


def test_the_first_losses_stay_equal_while_training() -> None:
    losses = []
    for num_clones in (1, 4):
        config = on_cpus(num_clones)
        with tf.Graph().as_default(), tf.Session(config=session_config(config)) as session:
            model = deploy(config, small_net, [parts(num_clones)], optimizer=tf.train.MomentumOptimizer(0.01, 0.9))
            session.run(tf.global_variables_initializer())
            losses.append([session.run(model.train_op) for _ in range(5)])
            assert session.run(tf.train.get_global_step()) == 5
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][-1] < losses[0][0]


def test_variables_are_made_once_and_shared() -> None:
    config = on_cpus(4)
    with tf.Graph().as_default():
        create_clones(config, small_net, [parts(4)], {"batch_norm": True})
        names = [variable.op.name for variable in slim.get_model_variables()]
        assert len(names) == len(set(names)) == len(tf.global_variables()) == 6
        assert {variable.device for variable in tf.global_variables()} == {"/device:CPU:0"}


def test_clones_have_their_scope_device_and_outputs() -> None:
    config = DeploymentConfig(num_clones=2, num_ps_tasks=1)
    with tf.Graph().as_default():
        clones = create_clones(config, small_net, [parts(2)])
        for index, clone in enumerate(clones):
            assert clone.scope == f"clone_{index}/"
            assert clone.device == clone.outputs.device == f"/job:worker/task:0/device:GPU:{index}"
            assert clone.outputs.op.name.startswith(clone.scope)
            [loss] = tf.get_collection(tf.GraphKeys.LOSSES, clone.scope)
            assert loss.op.name.startswith(clone.scope)


def test_a_single_clone_has_no_scope() -> None:
    with tf.Graph().as_default():
        [clone] = create_clones(on_cpus(1), small_net, [parts(1)])
        assert clone.scope == ""
        assert clone.outputs.op.name.startswith("logits/")


@pytest.mark.parametrize("num_clones", [1, 4])
def test_regularization_counts_once(num_clones: int) -> None:
    config = on_cpus(num_clones)
    with tf.Graph().as_default(), tf.Session(config=session_config(config)) as session:
        clones = create_clones(config, small_net, [parts(num_clones)], {"weight_decay": 0.5})
        assert len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 2
        with_penalty, gradients = optimize_clones(clones, sgd())
        without, plain_gradients = optimize_clones(clones, sgd(), regularization_losses=[])
        session.run(tf.global_variables_initializer())
        weights = session.run([v for v in tf.trainable_variables() if v.op.name.endswith("weights")])
        penalty = 0.5 * sum(np.sum(np.square(w)) / 2 for w in weights)
        values, plain_values = session.run((with_penalty, without))
        assert values - plain_values == pytest.approx(penalty, rel=1e-4)
        difference, expected = session.run((gradients[0][0] - plain_gradients[0][0], 0.5 * gradients[0][1]))
        np.testing.assert_allclose(difference, expected, rtol=1e-3, atol=1e-4)


def test_only_the_first_clone_updates_batch_norm_statistics() -> None:
    config = on_cpus(2)
    shifted = iter([IMAGES, IMAGES + 100])
    with tf.Graph().as_default(), tf.Session(config=session_config(config)) as session:
        model = deploy(
            config,
            lambda: tf.losses.add_loss(
                tf.reduce_mean(slim.batch_norm(tf.constant(next(shifted)), decay=0.5, is_training=True, scope="bn"))
            ),
            optimizer=sgd(),
        )
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 4
        session.run(tf.global_variables_initializer())
        session.run(model.train_op)
        [mean] = slim.get_variables_by_name("moving_mean")
        np.testing.assert_allclose(session.run(mean), 0.5 * IMAGES.mean(axis=(0, 1, 2)), atol=1e-4)


def test_a_variable_that_no_loss_needs_is_skipped_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    def model_fn() -> None:
        tf.get_variable("unused", [1])
        tf.losses.add_loss(tf.reduce_sum(tf.get_variable("used", [1])))

    with tf.Graph().as_default(), caplog.at_level(logging.INFO, logger="deployment"):
        clones = create_clones(on_cpus(2), model_fn)
        _, gradients = optimize_clones(clones, sgd())
    assert [variable.op.name for _, variable in gradients] == ["used"]
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == ["unused"]


def test_a_variable_of_one_clone_only_gets_that_clones_gradient() -> None:
    clone_number = iter(range(2))

    def model_fn() -> None:
        shared, extra = tf.get_variable("shared", []), tf.get_variable("extra", [])
        tf.losses.add_loss(tf.identity(shared) if next(clone_number) else shared + 3.0 * extra)

    config = on_cpus(2)
    with tf.Graph().as_default(), tf.Session(config=session_config(config)) as session:
        _, gradients = optimize_clones(create_clones(config, model_fn), sgd())
        session.run(tf.global_variables_initializer())
        values = {variable.op.name: session.run(gradient) for gradient, variable in gradients}
    assert values == {"shared": 1.0, "extra": 1.5}


def sparse_gradients(num_clones: int, penalty: bool) -> tuple[Any, np.ndarray]:
    """The gradient of an embedding of which clone ``k`` reads rows ``k`` and 3, and its dense value."""
    rows = iter(range(num_clones))

    def model_fn() -> None:
        table = tf.get_variable("table", [4, 2], initializer=tf.ones_initializer())
        tf.losses.add_loss(tf.reduce_sum(tf.nn.embedding_lookup(table, [next(rows), 3])))

    config = on_cpus(num_clones)
    with tf.Graph().as_default(), tf.Session(config=session_config(config)) as session:
        clones = create_clones(config, model_fn)
        [table] = tf.trainable_variables()
        penalties = [tf.nn.l2_loss(table)] if penalty else []
        _, [(gradient, _)] = optimize_clones(clones, sgd(), regularization_losses=penalties)
        session.run(tf.global_variables_initializer())
        return gradient, session.run(tf.convert_to_tensor(gradient))


def test_sparse_gradients_are_summed_and_stay_sparse() -> None:
    gradient, dense = sparse_gradients(2, penalty=False)
    assert isinstance(gradient, tf.IndexedSlices)
    np.testing.assert_allclose(dense, [[0.5, 0.5], [0.5, 0.5], [0, 0], [1, 1]])


def test_sparse_and_dense_gradients_of_a_variable_are_summed() -> None:
    _, dense = sparse_gradients(2, penalty=True)
    np.testing.assert_allclose(dense, [[1.5, 1.5], [1.5, 1.5], [1, 1], [2, 2]])


def test_gradients_are_summed_on_the_task_of_the_clones() -> None:
    config = DeploymentConfig(num_clones=2, num_ps_tasks=1, num_replicas=2, replica_id=1)
    with tf.Graph().as_default():
        loss, gradients = optimize_clones(create_clones(config, small_net, [parts(2)]), sgd())
    assert {tensor.device for tensor in (loss, *dict(gradients))} == {"/job:worker/task:1/device:CPU:0"}


def test_arguments_reach_compute_gradients() -> None:
    with tf.Graph().as_default():
        clones = create_clones(on_cpus(2), small_net, [parts(2)])
        trained = [variable for variable in tf.trainable_variables() if variable.op.name.startswith("logits")]
        _, gradients = optimize_clones(clones, sgd(), var_list=trained)
    assert [variable.op.name for _, variable in gradients] == ["logits/weights", "logits/biases"]


def test_a_model_without_a_loss_is_refused() -> None:
    with tf.Graph().as_default():
        clones = create_clones(on_cpus(1), lambda: tf.get_variable("v", [1]))
        with pytest.raises(ValueError, match=r"model_fn must add one to tf\.GraphKeys\.LOSSES"):
            optimize_clones(clones, sgd())


def test_a_model_deployed_without_an_optimizer_has_a_loss_and_no_train_op() -> None:
    config = on_cpus(2)
    with tf.Graph().as_default(), tf.Session(config=session_config(config)) as session:
        model = deploy(config, small_net, [parts(2)])
        session.run(tf.global_variables_initializer())
        assert model.train_op is None
        assert session.run(model.total_loss) == pytest.approx(loss_and_gradients(2)[0], rel=1e-5)


def test_summaries_are_the_first_clones_and_none_is_on_a_gpu() -> None:
    def model_fn(next_batch: Any) -> None:
        tf.summary.scalar("activity", tf.reduce_mean(small_net(next_batch)))

    with tf.Graph().as_default():
        with tf.device("/device:CPU:0"):
            tf.summary.scalar("before", 1.0)
        model = deploy(DeploymentConfig(num_clones=2), model_fn, [parts(2)], optimizer=sgd(), summarize_gradients=True)
        merged = [tensor.op for tensor in model.summary_op.op.inputs]
    names = [op.name for op in merged]
    assert "before" in names
    assert "clone_0/activity" in names
    assert "clone_0/losses/clone_loss" in names
    assert "losses/total_loss" in names
    assert "conv/weights/gradient_norm" in names
    assert not any(name.startswith("clone_1") for name in names)
    assert {op.device for op in merged if op.name != "clone_0/activity"} == {"/device:CPU:0"}


def partitions(session: Any, fetches: Any) -> dict[str, list[Any]]:
    """The nodes that a step ran, by device as TensorFlow's executors had them: ``/job:x/task:0/device:CPU:0``."""
    metadata = tf.RunMetadata()
    session.run(fetches, options=tf.RunOptions(output_partition_graphs=True), run_metadata=metadata)
    nodes = defaultdict(list)
    for graph in metadata.partition_graphs:
        for node in graph.node:
            nodes[node.device.replace("/replica:0", "")].append(node)
    return nodes


def clones_convolving(nodes: list[Any]) -> set[str]:
    """Scopes of the clones whose convolutions, forward and backward, however fused, are among the nodes."""
    return {node.name.partition("/")[0] for node in nodes if "Conv2D" in node.op}


def test_placement_on_the_cpus_of_one_process() -> None:
    config = on_cpus(4)
    with tf.Graph().as_default(), tf.Session(config=session_config(config)) as session:
        model = deploy(config, small_net, [parts(4)], optimizer=tf.train.MomentumOptimizer(0.1, 0.9))
        session.run(tf.global_variables_initializer())
        nodes = partitions(session, model.train_op)
    for index in range(4):
        own = nodes[f"/job:localhost/task:0/device:CPU:{index}"]
        assert clones_convolving(own) == {f"clone_{index}"}
        assert any(node.op == "ResourceApplyMomentum" for node in own) == (index == 0)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [open_socket.getsockname()[1] for open_socket in sockets]
    for open_socket in sockets:
        open_socket.close()
    return ports


def step_in_a_cluster(**values: Any) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Places of the variables, and the nodes that a step of worker 1 ran: two clones, 2 parameter servers."""
    config = on_cpus(2, num_ps_tasks=2, num_replicas=2, replica_id=1, **values)
    addresses = [f"127.0.0.1:{port}" for port in free_ports(4)]
    cluster = tf.train.ClusterSpec({"ps": addresses[:2], "worker": addresses[2:]})
    servers = {
        f"{job}{task}": tf.distribute.Server(cluster, job, task, config=session_config(config))
        for job in ("ps", "worker")
        for task in range(2)
    }
    with tf.Graph().as_default():
        model = deploy(config, small_net, [parts(2)], optimizer=tf.train.MomentumOptimizer(0.1, 0.9))
        with tf.Session(servers["worker1"].target, config=session_config(config)) as session:
            session.run(tf.global_variables_initializer())
            nodes = partitions(session, model.train_op)
        return {variable.op.name: variable.device for variable in tf.global_variables()}, nodes


def crossings(nodes: list[Any], name: str) -> dict[str, int]:
    """How often tensors of this name are sent from a server, and received there."""
    return {
        op: len([node for node in nodes if node.op == op and name in tensor_name(node)]) for op in ("_Send", "_Recv")
    }


def test_placement_in_a_cluster_and_one_crossing_of_the_network_per_variable() -> None:
    places, nodes = step_in_a_cluster()
    weights = "logits/weights"
    for variable, device in places.items():
        # Global variables, their slots and updates: where the strings say.
        assert variable in {node.name for node in nodes[device]}
    assert places[weights] == places[f"{weights}/Momentum"] != places["conv/weights"]
    assert f"Momentum/update_{weights}/ResourceApplyMomentum" in {node.name for node in nodes[places[weights]]}
    for index in range(2):
        own = nodes[f"/job:worker/task:1/device:CPU:{index}"]
        assert clones_convolving(own) == {f"clone_{index}"}
    assert not any("/job:worker/task:0" in device for device in nodes)
    # Both clones and the penalty read the weights; they are sent once, and one gradient comes back.
    assert crossings(nodes[places[weights]], weights) == {"_Send": 1, "_Recv": 1}


def test_parts_of_a_variable_cross_once_each_and_are_put_together_beside_the_clones() -> None:
    places, nodes = step_in_a_cluster(partition_min_bytes=1000)
    names = [f"logits/weights/part_{index}" for index in range(2)]
    assert places[names[0]] != places[names[1]]
    assert "conv/weights" in places
    for name in names:
        on_server = nodes[places[name]]
        assert {name, f"{name}/Momentum", f"Momentum/update_{name}/ResourceApplyMomentum"} <= {
            node.name for node in on_server
        }
        assert crossings(on_server, name) == {"_Send": 1, "_Recv": 1}
    joins = [device for device, own in nodes.items() for node in own if "ConcatPartitions" in node.name]
    assert joins and all(device.startswith("/job:worker/task:1/device:CPU:") for device in joins)


def tensor_name(node: Any) -> str:
    return node.attr["tensor_name"].s.decode()


def test_of_many_variables_without_a_loss_the_first_are_named(caplog):
    with tf.Graph().as_default():
        used = tf.get_variable("used", [2])
        for number in range(50):
            tf.get_variable(f"unused{number}", [2])
        clones = create_clones(on_cpus(1), lambda: tf.losses.add_loss(tf.reduce_sum(used)))
        optimize_clones(clones, tf.train.GradientDescentOptimizer(0.1))
    assert "not trained: unused0, unused1, unused2 and 47 more" in caplog.text
