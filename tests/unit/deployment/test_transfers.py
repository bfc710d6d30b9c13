from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from deployment import transfers

WORKER, SERVER = "/device:CPU:0", "/device:CPU:1"
STEPS = 3


class _Training:
    """A regression on two CPU devices, one of which stands for the server that holds the variables."""

    def __init__(self, bundled: bool) -> None:
        with tf.Graph().as_default() as self.graph:
            random = np.random.RandomState(0)
            with tf.device(WORKER), tf.variable_scope("", caching_device=WORKER, use_resource=True):
                images = tf.constant(random.randn(8, 4), tf.float32)
                total = tf.zeros([8])
                for name, values in (("a", [4]), ("b", [4, 4]), ("c", [4, 2]), ("large", [4, 10000])):
                    weights = self._variable(name, random.randn(*values), trainable=True)
                    product = images * weights if weights.shape.rank == 1 else images @ weights
                    total += tf.reduce_mean(product, axis=1)
                loss = tf.reduce_mean(total**2)
                moving_mean = self._variable("moving_mean", np.zeros(8), trainable=False)
                update_ops = [self._moving_average(moving_mean, total)]
                optimizer = tf.train.MomentumOptimizer(0.01, 0.9)
                gradients = optimizer.compute_gradients(loss)
                if bundled:
                    transfers.bundle_reads(tf.global_variables())
                    transfers.bundle_updates(update_ops)
                    gradients = transfers.bundle_gradients(gradients)
                self.step = tf.group(optimizer.apply_gradients(gradients), *update_ops)

    def _variable(self, name, values, trainable):
        with tf.device(SERVER):
            initial = np.asarray(values, np.float32)
            return tf.get_variable(
                name, initial.shape, initializer=tf.constant_initializer(initial), trainable=trainable
            )

    def _moving_average(self, variable, value):
        with tf.colocate_with(variable.handle):
            return variable.assign_sub((variable.read_value() - value) * 0.1, read_value=False)

    def crossing(self, origin: str, destination: str) -> set[str]:
        """Names of the tensors that cross in a step."""
        needed, waiting = set(), [self.step]
        while waiting:
            op = waiting.pop()
            if op not in needed:
                needed.add(op)
                waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
        return {
            tensor.name
            for op in needed
            for tensor in op.inputs
            if op.device == destination and tensor.device == origin and tensor.dtype != tf.resource
        }

    def run(self) -> list[np.ndarray]:
        with self.graph.as_default(), tf.Session(config=tf.ConfigProto(device_count={"CPU": 2})) as session:
            session.run(tf.global_variables_initializer())
            for _ in range(STEPS):
                session.run(self.step)
            return session.run([variable.read_value() for variable in tf.global_variables()])


def test_small_variables_are_read_with_one_message_and_large_ones_each_with_their_own():
    assert len(_Training(bundled=False).crossing(SERVER, WORKER)) == 5
    assert len(_Training(bundled=True).crossing(SERVER, WORKER)) == 2


def test_large_variables_cross_after_the_bundle_that_the_first_layers_need():
    def waits(training):
        read = next(op for op in training.graph.get_operations() if op.name == "large/Read/ReadVariableOp")
        return [op.type for op in read.control_inputs]

    assert waits(_Training(bundled=False)) == []
    assert waits(_Training(bundled=True)) == ["ConcatV2"]


def test_small_gradients_cross_in_one_message_and_statistics_in_another():
    def data(training):
        return {name for name in training.crossing(WORKER, SERVER) if "Momentum" not in name}

    assert len(data(_Training(bundled=True))) < len(data(_Training(bundled=False)))
    assert sum("bundle" in name for name in data(_Training(bundled=True))) == 2


def test_bundling_changes_no_value():
    for plain, bundled in zip(_Training(bundled=False).run(), _Training(bundled=True).run(), strict=True):
        assert bundled == pytest.approx(plain, rel=1e-6)


def test_an_assignment_does_not_wait_for_its_old_value_to_cross():
    with tf.Graph().as_default(), tf.variable_scope("", caching_device=WORKER, use_resource=True):
        with tf.device(SERVER):
            variable = tf.get_variable("mean", [2])
            value = tf.ones([2])
            update = variable.assign_sub(value, read_value=False)
        assert [op.device for op in update.control_inputs] == [WORKER]
        transfers.bundle_updates([update])
        assert not update.control_inputs


@pytest.mark.parametrize("name", ["_update_input", "_remove_all_control_inputs", "_add_control_inputs"])
def test_a_tensorflow_that_cannot_rewire_a_graph_trains_the_same_with_more_messages(name, monkeypatch):
    usual = _Training(bundled=True)
    owner = next(base for base in tf.Operation.__mro__ if name in vars(base))
    monkeypatch.delattr(owner, name)
    without = _Training(bundled=True)
    assert len(without.crossing(SERVER, WORKER)) == 5
    for values, expected in zip(without.run(), usual.run(), strict=True):
        assert values == pytest.approx(expected, rel=1e-6)
