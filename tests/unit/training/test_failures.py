"""TensorFlow's errors in one line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from slim_train.errors import RunError
from slim_train.tf_compat import tf
from slim_train.training import failures


def _job(num_ps_tasks):
    cluster = SimpleNamespace(num_ps_tasks=num_ps_tasks, own=SimpleNamespace(name="worker 1"))
    return SimpleNamespace(cluster=cluster, dataset=None, train_dir=Path("train"))


def test_a_lost_connection_is_explained_to_tasks_that_have_parameter_servers():
    lost = tf.errors.CancelledError(None, None, "Socket closed")
    explained = failures.explain(lost, _job(num_ps_tasks=1))
    assert isinstance(explained, RunError)
    assert "worker 1: lost the connection to the parameter servers (Socket closed)" in str(explained)
    assert failures.explain(lost, _job(num_ps_tasks=0)) is None


def test_other_errors_keep_their_tracebacks():
    assert failures.explain(tf.errors.InvalidArgumentError(None, None, "shape"), _job(num_ps_tasks=1)) is None
