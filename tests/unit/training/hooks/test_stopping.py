"""What ends training."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from slim_train.tf_compat import tf
from slim_train.training.hooks.stopping import StopAtStep, StopOnSignal


def _steps_made(*make_hooks, start=0, most=50):
    """Steps of a loop with hooks until one asks for a stop."""
    with tf.Graph().as_default():
        global_step = tf.train.get_or_create_global_step()
        step = global_step.assign_add(1)
        hooks = [make(global_step, step) for make in make_hooks]
        made = 0
        begin = global_step.assign(start).op
        scaffold = tf.train.Scaffold(init_fn=lambda _, session: session.run(begin))
        with tf.train.MonitoredSession(tf.train.ChiefSessionCreator(scaffold), hooks) as session:
            while not session.should_stop() and made < most:
                session.run(step)
                made += 1
    return made


@pytest.mark.parametrize(("start", "made"), [(0, 7), (5, 2), (7, 0), (9, 0)])
def test_training_stops_at_its_last_step_and_makes_none_beyond(start, made):
    assert _steps_made(lambda global_step, step: StopAtStep(global_step, step, 7), start=start) == made


def test_a_signal_stops_after_the_step_and_is_given_back():
    before = signal.getsignal(signal.SIGTERM)
    stop = StopOnSignal()

    class Kill(tf.train.SessionRunHook):
        def before_run(self, run_context):
            os.kill(os.getpid(), signal.SIGTERM)

    with stop.listening():
        assert _steps_made(lambda *_: Kill(), lambda *_: stop) == 1
    assert stop.received is signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_first_ctrl_c_asks_and_the_second_interrupts():
    stop = StopOnSignal()
    with stop.listening():
        signal.raise_signal(signal.SIGINT)
        assert stop.received is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_in_another_thread_no_signal_is_listened_to():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def listen():
        with StopOnSignal().listening():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before]
