"""Checkpoints by steps, and those that come late."""

import threading
from types import SimpleNamespace

import pytest

from slim_train.checkpoints.find import saved_checkpoints, step_of
from slim_train.tf_compat import tf
from slim_train.training.hooks.saving import CatchUp, SaveEverySteps
from slim_train.training.saver import PatientSaver


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


def test_at_the_end_a_checkpoint_that_could_not_be_saved_is_saved_when_the_folder_is_back(tmp_path):
    folder, away = tmp_path / "train", tmp_path / "away"
    folder.mkdir()
    with tf.Graph().as_default():
        global_step = tf.train.create_global_step()
        step = global_step.assign_add(1)
        saver = PatientSaver(tmp_path)
        graph = SimpleNamespace(global_step=global_step, step=step)
        hook = CatchUp(graph, lambda: saver, folder)
        with tf.Session() as session:
            session.run(global_step.initializer)
            saver.save(session, str(folder / "model.ckpt"), global_step=0)
            folder.rename(away)
            folder.touch()
            session.run(step)
            assert saver.save(session, str(folder / "model.ckpt"), global_step=1) is None
            threading.Timer(0.5, lambda: [folder.unlink(), away.rename(folder)]).start()
            hook.end(session)
    assert [step_of(checkpoint) for checkpoint in saved_checkpoints(folder)] == [0, 1]
