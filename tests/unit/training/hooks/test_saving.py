"""Checkpoints by steps."""

from types import SimpleNamespace

import pytest

from slim_train.checkpoints.find import saved_checkpoints, step_of
from slim_train.tf_compat import tf
from slim_train.training.hooks.saving import SaveEverySteps


@pytest.mark.parametrize(
    ("start", "step_size", "saved"),
    [(0, 1, [3, 6, 9]), (4, 1, [6, 9, 12]), (0, 2, [4, 6, 10, 12, 16, 18]), (0, 5, [5, 10, 15, 20, 25])],
)
def test_a_checkpoint_follows_each_multiple_that_is_passed(tmp_path, start, step_size, saved):
    with tf.Graph().as_default():
        global_step = tf.train.create_global_step()
        step = global_step.assign_add(step_size)
        saver = tf.train.Saver(max_to_keep=0)
        graph = SimpleNamespace(global_step=global_step, step=step)
        hook = SaveEverySteps(graph, 3, lambda: saver, tmp_path)
        init = global_step.assign(start)
        with tf.train.MonitoredSession(
            tf.train.ChiefSessionCreator(tf.train.Scaffold(init_op=init.op)), hooks=[hook]
        ) as session:
            for _ in range(10 if step_size < 5 else 5):
                session.run(step)
    steps = [step_of(checkpoint) for checkpoint in saved_checkpoints(tmp_path)]
    assert steps[: len(saved)] == saved
