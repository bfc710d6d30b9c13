import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from deployment.collectives import ReplicaGroup, synchronize_step


def _group(replica_id, bucket_bytes=2**20):
    """Two CPU devices of this process stand for two tasks."""
    return ReplicaGroup(2, replica_id, device=f"/device:CPU:{replica_id}", bucket_bytes=bucket_bytes)


def _session():
    return tf.Session(config=tf.ConfigProto(device_count={"CPU": 2}))


def _on_both(build, **kwargs):
    """Build for each of two replicas, run both at once, and give both results."""
    with tf.Graph().as_default(), _session() as session:
        built = [build(_group(replica_id, **kwargs), replica_id) for replica_id in range(2)]
        session.run(tf.global_variables_initializer())
        return session.run(built)


@pytest.mark.parametrize("bucket_bytes", [1, 24, 2**20])
def test_the_mean_over_the_tasks_keeps_order_and_shapes_whatever_the_buckets(bucket_bytes):
    def build(group, replica_id):
        shapes = [(), (2, 3), (1,), (4,), (2, 2)]
        return group.mean([tf.fill(shape, 10.0 * n + 2 * replica_id) for n, shape in enumerate(shapes)])

    for means in _on_both(build, bucket_bytes=bucket_bytes):
        assert [mean.shape for mean in means] == [(), (2, 3), (1,), (4,), (2, 2)]
        assert [np.unique(mean).tolist() for mean in means] == [[1], [11], [21], [31], [41]]


def test_tensors_of_different_types_are_averaged_in_their_own_type():
    def build(group, replica_id):
        return group.mean([tf.constant([1.0]), tf.constant([2.0 + replica_id], tf.float64), tf.constant([3.0])])

    means, _ = _on_both(build)
    assert [mean.dtype for mean in means] == [np.float32, np.float64, np.float32]
    assert means[1] == 2.5


def _number_of_ops(tensors, bucket_bytes):
    with tf.Graph().as_default() as graph:
        _group(0, bucket_bytes).mean([tf.zeros(shape) for shape in tensors])
        return sum(op.type == "CollectiveReduce" for op in graph.get_operations())


def test_small_tensors_share_a_buffer_and_large_ones_are_cut():
    assert _number_of_ops([(10,)] * 10, bucket_bytes=400) == 1
    assert _number_of_ops([(10,)] * 11, bucket_bytes=400) == 2
    assert _number_of_ops([(10,), (1000,), (10,)], bucket_bytes=400) == 12
    assert _number_of_ops([(101,)], bucket_bytes=400) == 2


@pytest.mark.parametrize("bucket_bytes", [8, 2**20])
def test_after_a_broadcast_every_task_has_the_values_of_the_chief(bucket_bytes):
    with tf.Graph().as_default(), _session() as session:
        variables = []
        for replica_id in range(2):
            with tf.device(f"/device:CPU:{replica_id}"), tf.variable_scope(f"task_{replica_id}", use_resource=True):
                variables.append([
                    tf.get_variable("step", initializer=np.int64(7 - replica_id)),
                    tf.get_variable("weights", initializer=np.full((3, 2), 1.5 + replica_id, np.float32)),
                    tf.get_variable("bias", initializer=np.full(4, 9.0 * replica_id, np.float32)),
                ])  # fmt: skip
        broadcast = [_group(replica_id, bucket_bytes).broadcast(variables[replica_id]) for replica_id in range(2)]
        session.run(tf.global_variables_initializer())
        session.run(broadcast)
        for step, weights, bias in session.run(variables):
            assert step == 7
            assert np.all(weights == 1.5)
            assert np.all(bias == 0)


def _step(own_values=(1.0, 3.0), requests=(0, 0)):
    """What both tasks compute in a step: the loss and gradient are the task's value, the statistic moves by it."""

    def build(group, replica_id):
        value = tf.constant(own_values[replica_id])
        with tf.device(group.device), tf.variable_scope(f"task_{replica_id}", use_resource=True):
            weight = tf.get_variable("weight", initializer=np.float32([0, 0]))
            bias = tf.get_variable("bias", initializer=np.float32([0]))
            statistic = tf.get_variable("statistic", initializer=np.float32([100]))
        step = synchronize_step(
            group,
            loss=value,
            gradients=[(tf.fill([2], 10 * value), weight), (tf.fill([1], value), bias)],
            update_ops=[statistic.assign_add([value]).op],
            statistics=[statistic],
        )
        feeds[step.stop_request] = requests[replica_id]
        assert [variable for _, variable in step.gradients] == [weight, bias]
        return [step.loss, [gradient for gradient, _ in step.gradients], step.stop, step.update_ops], statistic

    feeds: dict = {}
    with tf.Graph().as_default(), _session() as session:
        (first, first_statistic), (second, second_statistic) = (build(_group(n), n) for n in range(2))
        session.run(tf.global_variables_initializer())
        results = session.run([first, second], feeds)
        statistics = session.run([first_statistic, second_statistic])
    return [(loss, gradients, stop, kept) for (loss, gradients, stop, _), kept in zip(results, statistics, strict=True)]


def test_a_step_gives_every_task_the_mean_loss_gradients_and_statistics():
    for loss, (weight, bias), stop, statistic in _step(own_values=(1.0, 3.0)):
        assert loss == 2
        assert weight.tolist() == [20, 20]
        assert bias.tolist() == [2]
        assert statistic.tolist() == [102]
        assert not stop


def test_a_sparse_gradient_becomes_dense():
    def build(group, replica_id):
        with tf.device(group.device), tf.variable_scope(f"task_{replica_id}", use_resource=True):
            table = tf.get_variable("table", initializer=np.ones((3, 2), np.float32))
            loss = tf.reduce_sum(tf.gather(table, [replica_id]))
            [gradient] = tf.gradients(loss, [table])
        assert isinstance(gradient, tf.IndexedSlices)
        return synchronize_step(group, loss, [(gradient, table)]).gradients[0][0]

    for gradient in _on_both(build):
        assert gradient.tolist() == [[0.5, 0.5], [0.5, 0.5], [0, 0]]


def test_a_request_of_one_task_stops_all_after_the_same_step():
    assert [stop for *_, stop, _ in _step(requests=(0, 1))] == [True, True]


def test_a_loss_that_is_not_finite_on_one_task_stops_all():
    assert [stop for *_, stop, _ in _step(own_values=(1.0, float("inf")))] == [True, True]


def test_a_replica_outside_of_the_group_is_refused():
    with pytest.raises(ValueError, match="replica_id"):
        ReplicaGroup(2, 2, device="")
