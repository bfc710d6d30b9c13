"""Training with parameter servers: real processes on loopback, one for each task."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys

import pytest

from slim_train.cli import train_image_classifier
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
    contributed = _contributions(cluster, "worker 0")
    assert contributed > 0
    # The worker's last gradient may land after the chief has read the step for the last time.
    assert result["own_steps"] + contributed - result["global_step"] in (0, 1)
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
    cluster.wait_for_log("worker 1", "images/s")
    cluster.kill("worker 1")
    assert cluster.exit_codes("worker 0", "ps 0") == {"worker 0": 0, "ps 0": 0}, cluster.logs()
    assert cluster.result()["global_step"] >= 400


@pytest.mark.slow
def test_an_evaluator_keeps_the_best_checkpoint_and_finished_tasks_started_again_have_nothing_to_do(make_cluster):
    cluster = make_cluster(
        "--max_number_of_steps=200", "--save_interval_secs=1", "--shard_data", ps=2, chief=1, evaluator=1
    )
    cluster.start("evaluator 0")
    for task in ("ps 0", "ps 1", "chief 0"):
        cluster.start(task)
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    evaluation = json.loads((cluster.train_dir / "eval_test" / "eval_test.json").read_text())
    assert evaluation["global_step"] == 200
    best = json.loads((cluster.train_dir / "best" / "best.json").read_text())
    assert best["value"] >= evaluation["accuracy"]

    saved = {file: file.stat().st_mtime_ns for file in cluster.train_dir.glob("model.ckpt-*")}
    cluster.start_all()
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert {file: file.stat().st_mtime_ns for file in cluster.train_dir.glob("model.ckpt-*")} == saved
    for task in ("ps 0", "chief 0"):
        assert "Nothing to do" in cluster.log(task)


@pytest.mark.slow
def test_the_flags_for_servers_started_by_hand_still_train(shapes_dir, tmp_path):
    addresses = {"ps": [f"127.0.0.1:{_free_port()}"], "worker": [f"127.0.0.1:{_free_port()}"]}
    serve = (
        "import json, sys, tensorflow as tf\n"
        "spec = tf.train.ClusterSpec(json.loads(sys.argv[1]))\n"
        "servers = [tf.distribute.Server(spec, job_name=job, task_index=0) for job in ('ps', 'worker')]\n"
        "servers[0].join()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", serve, json.dumps(addresses)])
    try:
        flags = (f"--master=grpc://{addresses['worker'][0]}", "--task=0", "--worker_replicas=1", "--num_ps_tasks=1")
        argv = [f"--dataset_dir={shapes_dir}", f"--train_dir={tmp_path}", "--model_name=lenet", "--clone_on_cpu"]
        while socket.socket().connect_ex(("127.0.0.1", int(addresses["worker"][0].split(":")[1]))):
            assert process.poll() is None
        assert train_image_classifier.COMMAND.main([*argv, "--max_number_of_steps=20", *flags]) == 0
    finally:
        process.kill()
        process.wait()
    assert json.loads((tmp_path / "result.json").read_text())["global_step"] == 20


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
