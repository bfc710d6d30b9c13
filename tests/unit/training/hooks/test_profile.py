"""TensorBoard profiles."""

from __future__ import annotations

from slim_train.tf_compat import tf
from slim_train.training.hooks.profile import Profile


def _run(hook, steps):
    with tf.Graph().as_default():
        op = tf.no_op()
        with tf.train.MonitoredSession(hooks=[hook]) as session:
            for _ in range(steps):
                session.run(op)


def test_the_chosen_steps_are_profiled(tmp_path):
    _run(Profile(2, 3, str(tmp_path)), 4)
    assert list(tmp_path.rglob("*.xplane.pb"))


def test_closing_ends_a_profile_that_its_last_step_did_not(tmp_path):
    for name in ("first", "second"):  # a process has one profiler
        hook = Profile(1, 9, str(tmp_path / name))
        _run(hook, 2)
        hook.close()
        assert list((tmp_path / name).rglob("*.xplane.pb"))


def test_closing_what_never_began_does_nothing(tmp_path):
    Profile(5, 9, str(tmp_path)).close()
    assert not list(tmp_path.iterdir())
