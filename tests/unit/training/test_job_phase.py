"""The mark that says whether a job's variables may be trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deployment.devices import DeploymentConfig
from slim_train.tf_compat import tf
from slim_train.training.job_phase import ENDED, PREPARING, TRAINING, JobPhase


@pytest.fixture
def server() -> Iterator[Any]:
    """A server of this process that is a job's first parameter server."""
    yield tf.train.Server({"ps": ["127.0.0.1:0"]}, "ps", 0)


def test_a_task_waits_for_the_variables_and_then_for_the_word_to_train(server: Any) -> None:
    with tf.Graph().as_default():
        weights = tf.get_variable("weights", [2])
        phase = JobPhase(DeploymentConfig(num_ps_tasks=1, clone_on_cpu=True))
        missing = phase.missing()
        assert phase.value not in tf.global_variables()  # so that no checkpoint holds it
        with tf.Session(server.target) as session:
            assert set(session.run(missing)) == {b"weights", b"job_phase", b"all values"}
            assert session.run(phase.value.is_initialized()) == False  # noqa: E712 -- of numpy
            session.run(phase.prepare)
            assert session.run(phase.value) == PREPARING
            assert set(session.run(missing)) == {b"weights", b"all values"}
            session.run(weights.initializer)
            assert list(session.run(missing)) == [b"all values"]
            session.run(phase.train)
            assert session.run(phase.value) == TRAINING
            assert list(session.run(missing)) == []
            session.run(phase.end)
            assert session.run(phase.value) == ENDED
            assert list(session.run(missing)) == [b"all values"]
