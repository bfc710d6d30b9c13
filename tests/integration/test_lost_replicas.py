"""Synchronous replicas on parameter servers that lose a worker: real processes on loopback."""

from __future__ import annotations

import re
import signal

import pytest

from slim_train.checkpoints.find import latest_checkpoint, step_of

pytestmark = pytest.mark.slow


def _start(make_cluster, *flags, workers=2):
    """A job that waits for its last worker most of the time: that one computes longest."""
    cluster = make_cluster(
        "--max_number_of_steps=1000000", "--sync_replicas", "--task_timeout_secs=2", *flags, ps=1, worker=workers
    )
    for task in ("ps 0", *(f"worker {number}" for number in range(workers - 1))):
        cluster.start(task)
    cluster.start(f"worker {workers - 1}", "--batch_size=256")
    for number in range(workers):
        cluster.wait_for_log(f"worker {number}", "images/s")
    return cluster


def _address(cluster, number):
    return f"worker {number} ({cluster.addresses['worker'][number]})"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_without_backup_workers_the_others_wait_say_for_whom_and_end_with_one_line(make_cluster, number):
    cluster = _start(make_cluster, "--cluster_wait_secs=20")
    cluster.signal("worker 1", number)
    assert cluster.exit_codes("worker 0") == {"worker 0": 1}, cluster.logs()
    waits, error = re.split(r"images/s.*\n", cluster.log("worker 0"))[-1].splitlines()
    assert f"Waiting for {_address(cluster, 1)}: each step needs 2 gradients (--replicas_to_aggregate)." in waits
    assert error == (
        "train_image_classifier: error: worker 0: waited 20 s without success for "
        f"{_address(cluster, 1)}: each step needs 2 gradients (--replicas_to_aggregate)."
    )
    assert step_of(latest_checkpoint(cluster.train_dir)) >= cluster.metrics()[-1]["step"]


def test_without_backup_workers_the_others_go_on_with_the_replacement(make_cluster):
    cluster = _start(make_cluster)
    cluster.kill("worker 1")
    cluster.wait_for_log("worker 0", "Waiting for worker 1")
    cluster.start("worker 1")
    cluster.wait_for_step(cluster.metrics()[-1]["step"] + 20)
    assert cluster.log("worker 0").count("Waiting for worker 1") == 1


def test_the_others_say_for_whom_they_wait_at_the_start(make_cluster):
    cluster = make_cluster("--max_number_of_steps=10", "--sync_replicas", ps=1, worker=2)
    cluster.start("ps 0")
    cluster.start("worker 0")
    cluster.wait_for_log("worker 0", f"Waiting for {_address(cluster, 1)}")
    cluster.start("worker 1")
    assert set(cluster.exit_codes().values()) == {0}


def test_with_backup_workers_the_others_go_on(make_cluster):
    cluster = _start(make_cluster, "--replicas_to_aggregate=2", workers=3)
    cluster.kill("worker 2")
    cluster.wait_for_step(cluster.metrics()[-1]["step"] + 100)
    cluster.signal("worker 0", signal.SIGTERM)
    assert cluster.exit_codes("worker 0", "worker 1", "ps 0") == {"worker 0": 0, "worker 1": 0, "ps 0": 0}
    assert "Waiting for worker 2" not in cluster.log("worker 0")


def test_a_worker_that_left_is_not_waited_for(make_cluster):
    cluster = _start(make_cluster)
    cluster.signal("worker 1", signal.SIGTERM)
    assert cluster.exit_codes("worker 1") == {"worker 1": 0}
    cluster.wait_for_step(cluster.metrics()[-1]["step"] + 100)
    # Nobody else makes a step meanwhile.
    cluster.start("worker 1", "--batch_size=256")
    cluster.wait_for_log("worker 1", "images/s", times=2)
    assert "Waiting for" not in cluster.log("worker 0").partition("images/s")[2]
