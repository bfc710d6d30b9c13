"""Which sessions a job is trained in."""

from __future__ import annotations

from slim_train.tf_compat import tf
from slim_train.training import session_creator, sessions, starting_point
from slim_train.training.hooks.stopping import StopOnSignal
from slim_train.training.job_graph import build_graph


def test_a_training_alone_makes_its_session_at_once_with_all_variables(make_job):
    job = make_job()
    with tf.Graph().as_default():
        graph = build_graph(job)
        creator = session_creator.for_job(job, graph, starting_point.scaffold(job, None), None, StopOnSignal())
        assert type(creator) is sessions.SessionCreator
        uninitialized = tf.report_uninitialized_variables()
        with creator.create_session() as session:
            assert not session.run(uninitialized).size
            assert session.run(graph.global_step) == 0
