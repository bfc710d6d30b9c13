"""How tasks that all-reduce stop together."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from slim_train.tf_compat import tf
from slim_train.training.all_reduce import StopTogether


def _steps(last_step=None, request_at=None, others_stop_at=None):
    """Steps of a task whose requests, and those of others, come back as the ``stop`` of the same step."""
    left = []
    with tf.Graph().as_default():
        global_step = tf.train.get_or_create_global_step()
        step = global_step.assign_add(1)
        request = tf.placeholder_with_default(0.0, [])
        stop = (request > 0) | tf.equal(step, -1 if others_stop_at is None else others_stop_at)
        synchronized = SimpleNamespace(stop=stop, stop_request=request)
        graph = SimpleNamespace(
            global_step=global_step, step=step, loss=tf.constant(0.5), synchronized=synchronized
        )  # fmt: skip
        together = StopTogether(graph, last_step, lambda: left.append(True))
        made = 0
        with tf.train.MonitoredSession(hooks=[together]) as session:
            while not session.should_stop() and made < 50:
                if made == request_at:
                    together.request()
                session.run(step)
                made += 1
    return made, len(left)


@pytest.mark.parametrize(
    ("ends", "made"),
    [({"last_step": 4}, 4), ({"request_at": 2}, 3), ({"others_stop_at": 5}, 5), ({"last_step": 9, "request_at": 0}, 1)],
)
def test_the_step_that_ends_the_job_is_the_last_and_losses_count_no_more(ends, made):
    assert _steps(**ends) == (made, 1)
