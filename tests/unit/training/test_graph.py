"""One step of a training, from the command's options."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.tf_compat import tf
from slim_train.training.job_graph import build_graph, job_batches


def _after_a_step(job, names=None):
    """Names of the variables that a step changes, and its loss."""
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        graph = build_graph(job)
        with tf.train.MonitoredSession() as session:
            before = session.run({v.op.name: v for v in graph.model_variables})
            loss = session.run(graph.train_op)
            after = session.run({v.op.name: v for v in graph.model_variables})
            assert session.run(graph.global_step) == 1
    return sorted(name for name in before if (before[name] != after[name]).any()), loss


def test_a_step_changes_what_is_trained_and_nothing_else(make_job):
    everything, loss = _after_a_step(make_job(seed=1))
    assert {name.split("/")[1] for name in everything} == {"conv1", "conv2", "fc3", "fc4"}
    assert np.isfinite(loss)
    head, _ = _after_a_step(make_job(seed=1, trainable_scopes="auto"))
    assert head == ["LeNet/fc4/biases", "LeNet/fc4/weights"]


def test_a_scope_that_matches_nothing_is_refused(make_job):
    with pytest.raises(UsageError, match="LeNet/fc9"), tf.Graph().as_default():
        build_graph(make_job(trainable_scopes="LeNet/fc9"))


def test_the_batches_of_a_job_are_noise_when_that_is_asked_for(make_job):
    with tf.Graph().as_default():
        assert set(job_batches(make_job(use_synthetic_data=True)).element_spec) == {"image", "label"}
