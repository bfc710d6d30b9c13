"""Sessions on a parameter server: who prepares its variables, and who joins."""

from __future__ import annotations

import json
import socket

import pytest

from deployment.cluster import parse_tf_config
from deployment.devices import DeploymentConfig
from deployment.servers import LostTaskError
from slim_train.tf_compat import tf
from slim_train.training.job_phase import JobPhase
from slim_train.training.sessions import SessionCreator


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class _Job:
    """A parameter server and a chief, whose one variable is a global step."""

    def __init__(self, folder):
        addresses = {"ps": [f"127.0.0.1:{_free_port()}"], "worker": [f"127.0.0.1:{_free_port()}"]}
        self.folder = folder
        self._servers = [tf.train.Server(addresses, job, 0) for job in ("ps", "worker")]
        config = {"cluster": addresses, "task": {"type": "worker", "index": 0}}
        self._cluster = parse_tf_config(json.dumps(config))

    def creator(self, scaffold=None, **kwargs):
        """What makes the chief's session, in the current graph."""
        deployment = DeploymentConfig(num_ps_tasks=1, clone_on_cpu=True)
        with tf.device(deployment.variables_device()):
            step = tf.train.get_or_create_global_step()
        self.advance = step.assign_add(5, read_value=False)
        self.step = step.read_value()
        return SessionCreator(
            self._cluster,
            scaffold or tf.train.Scaffold(),
            self.folder,
            tf.ConfigProto(),
            master=self._servers[1].target,
            phase=JobPhase(deployment),
            **kwargs,
        )


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return _Job(tmp_path_factory.mktemp("job"))


def _breaks_first(creator, monkeypatch, times):
    """Let the connection break while the creator asks the servers, as a link that comes back does."""
    join, broken = creator._join, iter(range(times))

    def join_or_break():
        if next(broken, None) is not None:
            raise tf.errors.UnavailableError(None, None, "Socket closed")
        return join()

    monkeypatch.setattr(creator, "_join", join_or_break)


def test_a_chief_that_comes_back_joins_a_living_job_although_the_connection_breaks(job, monkeypatch):
    with tf.Graph().as_default():
        session = job.creator().create_session()
        session.run(job.advance)
        living = session.run(job.step)
        session.close()
    with tf.Graph().as_default():
        creator = job.creator()
        _breaks_first(creator, monkeypatch, times=2)
        session = creator.create_session()
        assert session.run(job.step) == living > 0
        session.close()


def test_a_chief_whose_servers_do_not_answer_gives_up_instead_of_preparing(job, monkeypatch):
    with tf.Graph().as_default():
        creator = job.creator(wait_secs=1)
        _breaks_first(creator, monkeypatch, times=1000)
        with pytest.raises(LostTaskError, match="the parameter servers to answer"):
            creator.create_session()


def test_an_error_beside_the_phase_does_not_make_a_chief_prepare_the_variables_of_a_living_job(job):
    with tf.Graph().as_default():
        session = job.creator().create_session()
        session.run(job.advance)
        living = session.run(job.step)
        session.close()
    with tf.Graph().as_default():
        missing = tf.get_variable("missing", initializer=1, collections=[tf.GraphKeys.LOCAL_VARIABLES])
        creator = job.creator(tf.train.Scaffold(local_init_op=missing.read_value()))
        with pytest.raises(tf.errors.FailedPreconditionError):
            creator.create_session()
    with tf.Graph().as_default():
        session = job.creator().create_session()
        assert session.run(job.step) == living > 0
        session.close()
