"""Jobs that survive failures: real processes on loopback, killed and started again."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from slim_train.checkpoints.find import latest_checkpoint, step_of


def _steps(cluster):
    return [line["step"] for line in cluster.metrics()]


@pytest.mark.slow
def test_a_parameter_server_that_dies_and_comes_back_costs_no_more_than_the_steps_since_the_checkpoint(make_cluster):
    cluster = make_cluster("--max_number_of_steps=500", "--save_interval_secs=1", ps=1, chief=1, worker=1)
    cluster.start_all()
    cluster.wait_for_log("worker 0", "images/s")
    cluster.wait_for_step(100)
    cluster.kill("ps 0")
    cluster.start("ps 0")
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()

    assert 500 <= cluster.result()["global_step"] <= 501
    restored = int(re.search(r"Restoring .*model.ckpt-(\d+)", cluster.log("chief 0")).group(1))
    assert 0 < restored < 500
    for task in ("chief 0", "worker 0"):
        assert "Lost a parameter server" in cluster.log(task)
    assert _steps(cluster) == sorted(set(_steps(cluster)))


@pytest.mark.slow
def test_one_of_two_parameter_servers_that_dies_and_comes_back_is_filled_again_by_the_master(make_cluster):
    cluster = make_cluster("--max_number_of_steps=500", "--save_interval_secs=1", ps=2, master=1, worker=1)
    cluster.start_all()
    cluster.wait_for_log("worker 0", "images/s")
    cluster.wait_for_step(100)
    cluster.kill("ps 1")
    cluster.start("ps 1")
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert 500 <= cluster.result()["global_step"] <= 501
    assert re.search(r"Restoring .*model.ckpt-\d+", cluster.log("master 0"))
    assert _steps(cluster) == sorted(set(_steps(cluster)))


@pytest.mark.slow
def test_sigterm_lets_a_synchronous_worker_leave_and_the_others_go_on(make_cluster):
    cluster = make_cluster("--max_number_of_steps=100000", "--sync_replicas", ps=1, worker=2)
    cluster.start_all()
    cluster.wait_for_log("worker 1", "images/s")
    cluster.signal("worker 1", signal.SIGTERM)
    assert cluster.exit_codes("worker 1") == {"worker 1": 0}, cluster.logs()
    cluster.wait_for_step(_steps(cluster)[-1] + 20)
    cluster.signal("worker 0", signal.SIGTERM)
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()


@pytest.mark.slow
def test_a_worker_and_a_chief_that_are_killed_join_again_at_the_current_step(make_cluster):
    cluster = make_cluster("--max_number_of_steps=2500", "--save_interval_secs=600", ps=1, chief=1, worker=1)
    cluster.start_all()
    cluster.wait_for_log("worker 0", "images/s")
    cluster.kill("worker 0")
    step = _steps(cluster)[-1]
    cluster.wait_for_step(step + 50)
    cluster.start("worker 0")
    cluster.wait_for_log("worker 0", "images/s", times=2)
    cluster.kill("chief 0")
    cluster.start("chief 0")
    cluster.wait_for_log("chief 0", "joining it")
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert 2500 <= cluster.result()["global_step"] <= 2501
    assert _steps(cluster) == sorted(set(_steps(cluster)))


@pytest.mark.slow
def test_sigterm_lets_a_worker_leave_and_makes_the_chief_end_the_job_with_a_checkpoint(make_cluster):
    cluster = make_cluster("--max_number_of_steps=100000", ps=2, worker=3)
    cluster.start_all()
    for worker in ("worker 1", "worker 2"):
        cluster.wait_for_log(worker, "images/s")
    cluster.signal("worker 1", signal.SIGTERM)
    assert cluster.exit_codes("worker 1") == {"worker 1": 0}
    cluster.wait_for_step(_steps(cluster)[-1] + 50)
    cluster.signal("worker 0", signal.SIGTERM)
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert cluster.result()["stopped_by"] == "SIGTERM"
    latest = latest_checkpoint(cluster.train_dir)
    assert step_of(latest) >= cluster.result()["global_step"]
    assert "The chief has ended the job" in cluster.log("worker 2")


@pytest.mark.slow
def test_sigterm_to_all_tasks_at_once_lets_the_chief_save_what_the_servers_hold(make_cluster):
    cluster = make_cluster("--max_number_of_steps=100000", ps=1, worker=1)
    cluster.start_all()
    cluster.wait_for_step(50)
    cluster.signal("ps 0", signal.SIGTERM)
    cluster.signal("worker 0", signal.SIGTERM)
    assert cluster.exit_codes() == {"ps 0": 0, "worker 0": 0}, cluster.logs()
    latest = latest_checkpoint(cluster.train_dir)
    assert step_of(latest) == cluster.result()["global_step"]


@pytest.mark.slow
def test_sigterm_ends_a_parameter_server_whose_chief_is_gone(make_cluster):
    cluster = make_cluster("--max_number_of_steps=100000", ps=1, worker=1)
    cluster.start_all()
    cluster.wait_for_step(10)
    cluster.kill("worker 0")
    cluster.signal("ps 0", signal.SIGTERM)
    assert cluster.exit_codes("ps 0") == {"ps 0": -signal.SIGTERM}, cluster.logs()


@pytest.mark.slow
def test_a_port_that_is_taken_is_named_in_one_line(make_cluster):
    cluster = make_cluster("--max_number_of_steps=1", ps=1, worker=1)
    host, port = cluster.addresses["ps"][0].split(":")
    with socket.create_server((host, int(port))):
        cluster.start("ps 0")
        assert cluster.exit_codes() == {"ps 0": 2}
    last = cluster.log("ps 0").splitlines()[-1]
    assert last.startswith("train_image_classifier: error: ")
    assert port in last
    assert "Traceback" not in cluster.log("ps 0")


@pytest.mark.slow
def test_a_worker_whose_parameter_server_never_comes_names_it(make_cluster):
    cluster = make_cluster("--max_number_of_steps=1", "--cluster_wait_secs=1", ps=1, worker=1)
    cluster.start("worker 0")
    assert cluster.exit_codes() == {"worker 0": 1}
    last = cluster.log("worker 0").splitlines()[-1]
    assert "waited 1 s without success for ps 0" in last
    assert cluster.addresses["ps"][0] in last


@pytest.mark.slow
def test_a_parameter_server_gives_up_on_a_chief_that_stays_away(make_cluster):
    cluster = make_cluster("--max_number_of_steps=100000", "--ps_idle_timeout_secs=2", ps=1, worker=1)
    cluster.start_all()
    cluster.wait_for_step(5)
    cluster.kill("worker 0")
    assert cluster.exit_codes("ps 0") == {"ps 0": 1}
    last = cluster.log("ps 0").splitlines()[-1]
    assert "worker 0" in last
    assert "--ps_idle_timeout_secs" in last


@pytest.mark.slow
def test_a_checkpoint_cut_short_is_passed_over_when_the_whole_cluster_starts_again(make_cluster):
    cluster = make_cluster("--max_number_of_steps=300", "--save_interval_secs=1", ps=1, worker=1)
    cluster.start_all()
    cluster.wait_for_step(100)
    for task in ("worker 0", "ps 0"):
        cluster.kill(task)
    good = step_of(latest_checkpoint(cluster.train_dir))
    (cluster.train_dir / "model.ckpt-299.index").write_bytes(b"truncated")
    state = cluster.train_dir / "checkpoint"
    state.write_text(state.read_text().replace(f"model.ckpt-{good}", "model.ckpt-299"))
    cluster.start_all()
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert f"RESUMING from {cluster.train_dir}/model.ckpt-{good};" in cluster.log("worker 0")
    assert cluster.result()["global_step"] == 300
    assert _steps(cluster) == sorted(set(_steps(cluster)))


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_ends_training_with_one_line(shapes_dir, tmp_path):
    limit = 4_000_000  # Bytes of a file. The checkpoint of lenet is larger.
    command = [
        sys.executable, "-m", "slim_train.cli.train_image_classifier", f"--dataset_dir={shapes_dir}", "--clone_on_cpu",
        "--model_name=lenet", f"--train_dir={tmp_path}", "--max_number_of_steps=1", "--save_summaries_secs=0",
    ]  # fmt: skip
    run = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert run.returncode == 1, run.stderr
    last = run.stderr.splitlines()[-1]
    assert last.startswith(f"train_image_classifier: error: Cannot save a checkpoint in {tmp_path}: "), run.stderr
    assert "File too large" in last
    assert "Traceback" not in run.stderr
