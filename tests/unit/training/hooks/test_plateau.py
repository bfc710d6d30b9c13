"""Saying that a training does not learn."""

from __future__ import annotations

import logging
import types

import numpy as np

from slim_train.tf_compat import tf
from slim_train.training.hooks.plateau import PlateauHook


def _run(losses, caplog, **kwargs):
    with tf.Graph().as_default(), caplog.at_level(logging.INFO):
        step = tf.train.get_or_create_global_step().assign_add(1)
        data_loss = tf.gather(tf.constant(losses, tf.float32), tf.cast(step, tf.int32) - 1)
        hook = PlateauHook(types.SimpleNamespace(step=step, data_loss=data_loss), [0.5, 0.5], **kwargs)
        with tf.train.MonitoredSession(hooks=[hook]) as session:
            for _ in losses:
                session.run(step)
    return hook.plateau, [record.message for record in caplog.records if "learn" in record.message]


def test_a_loss_that_stays_is_warned_of_once(caplog):
    plateau, said = _run([np.log(2)] * 500, caplog, is_asynchronous=True)
    assert plateau.since_step == 300
    assert len(said) == 1
    assert "fewer workers or --sync_replicas" in said[0]


def test_one_machine_is_not_advised_to_have_fewer_workers(caplog):
    _, said = _run([np.log(2)] * 100, caplog)
    assert len(said) == 1
    assert "workers" not in said[0]


def test_a_training_that_leaves_the_plateau_is_said_to_learn(caplog):
    plateau, said = _run([np.log(2)] * 300 + [0.1] * 100, caplog)
    assert plateau.left_at_step == 400
    assert said[1] == "The loss left the plateau at step 400: the training learns."


def test_a_training_that_learns_hears_nothing(caplog):
    assert _run(np.linspace(0.7, 0.1, 400), caplog) == (None, [])
