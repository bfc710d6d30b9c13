from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from deployment import narrow_transfers

WORKER, SERVER = "/device:CPU:0", "/device:CPU:1"
LARGE, SMALL = [40, 1000], [1000]  # 160 kB, 4 kB


class _Training:
    """A net of two variables on one CPU device, trained from another."""

    def __init__(self, is_narrow: bool) -> None:
        with tf.Graph().as_default() as self.graph:
            random = np.random.RandomState(0)
            with tf.device(WORKER), tf.variable_scope("", caching_device=WORKER, use_resource=True):
                images = tf.constant(random.randn(64, LARGE[0]), tf.float32)
                self.weights, biases = self._variable("weights", random.randn(*LARGE)), self._variable("biases", SMALL)
                self.loss = tf.reduce_mean((images @ self.weights + biases - 1) ** 2)
                optimizer = tf.train.GradientDescentOptimizer(10.0)
                self.gradients = optimizer.compute_gradients(self.loss)
                if is_narrow:
                    narrow_transfers.narrow_reads(tf.global_variables())
                    self.gradients = narrow_transfers.narrow_gradients(self.gradients)
                self.step = optimizer.apply_gradients(self.gradients)

    def _variable(self, name, values):
        with tf.device(SERVER):
            initial = np.zeros(values) if isinstance(values, list) else values
            return tf.get_variable(name, initial.shape, initializer=tf.constant_initializer(initial))

    def crossing(self) -> dict[tuple[str, str], list[tuple[int, str]]]:
        """Size and type of the tensors that cross in a step, by the devices that they leave and reach."""
        needed, waiting = set(), [self.step]
        while waiting:
            op = waiting.pop()
            if op not in needed:
                needed.add(op)
                waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
        found = {}
        for op in needed:
            for tensor in op.inputs:
                if tensor.device != op.device and tensor.device and tensor.dtype != tf.resource and tensor.shape.rank:
                    way = found.setdefault((tensor.device[-1], op.device[-1]), [])
                    way.append((tensor.shape.num_elements(), tensor.dtype.name))
        return {way: sorted(tensors) for way, tensors in found.items()}

    def run(self, steps: int) -> tuple[np.ndarray, float]:
        """Return the weights and the loss after some steps."""
        with self.graph.as_default(), tf.Session(config=tf.ConfigProto(device_count={"CPU": 2})) as session:
            session.run(tf.global_variables_initializer())
            for _ in range(steps):
                session.run(self.step)
            return session.run([self.weights.read_value(), self.loss])


def test_large_variables_and_gradients_cross_in_16_bits_and_small_ones_in_32():
    crossing = _Training(is_narrow=True).crossing()
    assert crossing == {way: [(1000, "float32"), (40_000, "bfloat16")] for way in (("1", "0"), ("0", "1"))}
    wide = {size_and_type for tensors in _Training(is_narrow=False).crossing().values() for size_and_type in tensors}
    assert wide == {(1000, "float32"), (40_000, "float32")}


def test_updates_smaller_than_the_steps_of_16_bits_add_up():
    narrow, wide = (_Training(is_narrow).run(steps=1)[0] for is_narrow in (True, False))
    initial = _Training(is_narrow=False).run(steps=0)[0]
    assert np.any(wide != initial)
    # 8 bits of mantissa: a weight of 2 would not change by less than 1/128.
    assert np.abs(narrow - wide).max() < 0.01 * np.abs(wide - initial).max()


def test_training_reaches_the_same_loss():
    (_, narrow), (_, wide) = (_Training(is_narrow).run(steps=50) for is_narrow in (True, False))
    assert wide < 0.8 * _Training(is_narrow=False).run(steps=0)[1]
    assert narrow == pytest.approx(wide, rel=0.01)


def test_a_tensorflow_that_cannot_rewire_a_graph_reads_in_32_bits(monkeypatch):
    monkeypatch.delattr(tf.Operation, "_update_input")
    crossing = _Training(is_narrow=True).crossing()
    assert crossing["1", "0"] == [(1000, "float32"), (40_000, "float32")]
    assert crossing["0", "1"] == [(1000, "float32"), (40_000, "bfloat16")]
