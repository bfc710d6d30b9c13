"""Training with parameter servers: real processes on loopback, one for each task."""

from __future__ import annotations

import re
import socket

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
