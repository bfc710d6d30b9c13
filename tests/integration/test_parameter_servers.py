"""Training with parameter servers: real processes on loopback, one for each task."""

from __future__ import annotations

import re

import pytest

from slim_train.tf_compat import tf

CONTRIBUTED = re.compile(r"Contributed (\d+) gradients")


def _contributions(cluster, worker):
    return int(CONTRIBUTED.search(cluster.log(worker)).group(1))


def test_a_chief_and_a_worker_train_to_the_last_step_and_every_task_exits_0(make_cluster):
    cluster = make_cluster("--max_number_of_steps=300", ps=1, chief=1, worker=1)
    cluster.start("ps 0")
    cluster.start("worker 0")
    cluster.wait_for_log("ps 0", "Waiting for chief")
    cluster.wait_for_log("worker 0", "Waiting for chief")
    cluster.start("chief 0")
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()

    result = cluster.result()
    assert 300 <= result["global_step"] <= 301
    assert _contributions(cluster, "worker 0") > 0
    assert result["own_steps"] + _contributions(cluster, "worker 0") == result["global_step"]
    stored = tf.train.load_checkpoint(str(cluster.train_dir)).get_variable_to_shape_map()
    assert "LeNet/conv1/weights" in stored
    assert "job_phase" not in stored


@pytest.mark.slow
def test_synchronous_workers_each_contribute_their_share_and_the_job_ends_on_every_task(make_cluster):
    cluster = make_cluster("--max_number_of_steps=100", "--sync_replicas", "--moving_average_decay=0.9", ps=1, worker=2)
    cluster.start_all()
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert cluster.result()["global_step"] == 100
    # Two gradients make a step, and each worker waits for the other's.
    for contributed in (cluster.result()["own_steps"], _contributions(cluster, "worker 1")):
        assert 95 <= contributed <= 105
    stored = tf.train.load_checkpoint(str(cluster.train_dir))
    assert stored.has_tensor("LeNet/conv1/weights/ExponentialMovingAverage")


@pytest.mark.slow
def test_a_backup_worker_stands_in_for_one_that_is_killed(make_cluster):
    cluster = make_cluster("--max_number_of_steps=400", "--sync_replicas", "--replicas_to_aggregate=1", ps=1, worker=2)
    cluster.start_all()
    cluster.wait_for_log("worker 1", "step ")
    cluster.kill("worker 1")
    assert cluster.exit_codes("worker 0", "ps 0") == {"worker 0": 0, "ps 0": 0}, cluster.logs()
    assert cluster.result()["global_step"] >= 400
