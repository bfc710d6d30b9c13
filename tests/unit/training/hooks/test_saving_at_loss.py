"""A checkpoint when a task of the job falls silent."""

from __future__ import annotations

import threading
from concurrent import futures
from types import SimpleNamespace

import grpc
import pytest

from deployment.cluster import Task
from slim_train.checkpoints.find import saved_checkpoints, step_of
from slim_train.tf_compat import tf
from slim_train.training.hooks.saving_at_loss import SaveAtLoss


@pytest.fixture
def worker():
    """A gRPC server that answers the question for a task's status, until it is stopped; and the task."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    status = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"alive")
    handlers = grpc.method_handlers_generic_handler("tensorflow.WorkerService", {"GetStatus": status})
    server.add_generic_rpc_handlers([handlers])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield server, Task("worker", 0, "worker", 1, address)
    server.stop(grace=0).wait()


def _run(task, folder, between, timeout_secs=2.0):
    """The steps at which a job saved that took a step, then had ``between`` called, then took steps for 4 seconds."""
    with tf.Graph().as_default():
        global_step = tf.train.create_global_step()
        step = global_step.assign_add(1)
        saver = tf.train.Saver()
        hook = SaveAtLoss(SimpleNamespace(global_step=global_step), [task], timeout_secs, lambda: saver, folder)
        waiting = threading.Event()
        with tf.train.MonitoredSession(hooks=[hook]) as session:
            session.run(step)
            waiting.wait(1.0)
            between()
            for _ in range(40):
                waiting.wait(0.1)
                session.run(step)
                if saved_checkpoints(folder):
                    break
    return [step_of(checkpoint) for checkpoint in saved_checkpoints(folder)]


def test_a_worker_that_falls_silent_is_named_and_a_checkpoint_saved(worker, tmp_path, caplog):
    server, task = worker
    (saved,) = _run(task, tmp_path, lambda: server.stop(grace=0).wait())
    assert saved > 1
    (record,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert record.getMessage() == (
        f"worker 0 ({task.address}) no longer answers: saving a checkpoint while the parameter servers do."
    )


@pytest.mark.slow
def test_nothing_is_saved_while_all_answer(worker, tmp_path):
    assert _run(worker[1], tmp_path, lambda: None) == []


@pytest.mark.slow
def test_a_worker_that_has_not_been_started_is_not_missed(tmp_path):
    assert _run(Task("worker", 0, "worker", 1, "127.0.0.1:1"), tmp_path, lambda: None) == []
