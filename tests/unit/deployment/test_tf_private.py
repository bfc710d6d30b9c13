"""Private names of TensorFlow: that they do what their functions say."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from deployment import tf_private


def test_an_input_is_replaced_and_an_operation_moved():
    assert tf_private.can_rewire()
    with tf.Graph().as_default(), tf.Session() as session:
        one, two = tf.constant(1.0), tf.constant(2.0)
        doubled = one + one
        tf_private.replace_input(doubled.op, 1, two)
        assert session.run(doubled) == 3.0
        tf_private.move(doubled.op, "/device:CPU:0")
        assert doubled.op.device == "/device:CPU:0"


def test_hooks_read_the_global_step_that_is_there():
    with tf.Graph().as_default() as graph:
        step = tf.identity(tf.train.get_or_create_global_step().read_value())
        tf_private.let_hooks_read_step(step)
        hook = tf.train.StepCounterHook(summary_writer=object())
        hook.begin()
        assert hook.before_run(None).fetches is step
        assert "cond" not in " ".join(op.name for op in graph.get_operations())


def test_an_event_writer_is_forgotten_when_it_is_closed(tmp_path):
    with tf.Graph().as_default():
        first = tf.summary.FileWriterCache.get(str(tmp_path))
        assert tf.summary.FileWriterCache.get(str(tmp_path)) is first
        tf_private.close_event_writer(str(tmp_path))
        assert tf.summary.FileWriterCache.get(str(tmp_path)) is not first
    tf_private.close_event_writer(str(tmp_path))
    tf_private.close_event_writer(str(tmp_path / "never opened"))


def test_a_whole_variable_is_no_part():
    with tf.Graph().as_default():
        assert tf_private.whole_of_part(tf.get_variable("whole", [2])) is None
