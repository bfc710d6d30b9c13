"""Training by all-reduce: workers and no parameter server, real processes on loopback."""

from __future__ import annotations

import re
import signal

import pytest

from slim_train.checkpoints.find import latest_checkpoint, step_of
from slim_train.cli import eval_image_classifier, train_image_classifier


def _contributed(cluster, task):
    """Gradients of a worker and the step at which it ended, as its log says."""
    return tuple(
        map(int, re.search(r"Contributed (\d+) gradients; the job is at step (\d+)", cluster.log(task)).groups())
    )


def test_two_workers_train_in_step_and_learn_as_one_with_twice_the_batch(make_cluster, shapes_dir, tmp_path):
    cluster = make_cluster("--max_number_of_steps=60", "--seed=3", worker=2)
    cluster.start("worker 1")
    cluster.start("worker 0")
    assert cluster.exit_codes() == {"worker 0": 0, "worker 1": 0}, cluster.logs()
    result = cluster.result()
    assert (result["global_step"], result["own_steps"]) == (60, 60)
    assert _contributed(cluster, "worker 1") == (60, 60)
    assert "steps per epoch (63 images / 8 x 2 replicas)" in cluster.log("worker 0")

    alone = tmp_path / "alone"
    flags = [
        f"--dataset_dir={shapes_dir}", f"--train_dir={alone}", "--model_name=lenet", "--batch_size=16", "--seed=3",
        "--optimizer=momentum", "--learning_rate=0.001", "--clone_on_cpu", "--max_number_of_steps=60",
    ]  # fmt: skip
    assert train_image_classifier.COMMAND.main(flags) == 0
    for train_dir in (cluster.train_dir, alone):
        assert eval_image_classifier.COMMAND.main([f"--checkpoint_path={train_dir}", f"--eval_dir={train_dir}"]) == 0
        assert '"accuracy": 1.0' in (train_dir / "eval_test.json").read_text()


@pytest.mark.slow
def test_a_killed_worker_ends_the_chief_which_names_it_and_the_job_resumes_when_both_are_back(make_cluster):
    cluster = make_cluster("--max_number_of_steps=100000", "--save_interval_secs=1", worker=2)
    cluster.start_all()
    cluster.wait_for_log("worker 0", "step 300/")
    cluster.kill("worker 1")
    cluster.start("worker 1")  # Before the chief has gone.
    assert cluster.exit_codes("worker 0") == {"worker 0": 1}
    assert re.search(
        r"worker 1 \(.*\) (no longer answers|has been restarted); training cannot", cluster.log("worker 0")
    )
    assert "Traceback" not in cluster.log("worker 0")
    resumed = step_of(latest_checkpoint(cluster.train_dir))
    assert resumed > 0
    cluster.start("worker 0")
    cluster.wait_for_log("worker 0", "images/s", times=cluster.log("worker 0").count("images/s") + 3)
    cluster.signal("worker 1", signal.SIGTERM)
    assert cluster.exit_codes() == {"worker 0": 0, "worker 1": 0}, cluster.logs()
    result = cluster.result()
    assert _contributed(cluster, "worker 1") == (result["own_steps"], result["global_step"])
    assert result["own_steps"] == result["global_step"] - resumed


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_all_tasks_with_the_reason(make_cluster):
    cluster = make_cluster("--max_number_of_steps=1000", "--learning_rate=1e30", worker=2)
    cluster.start_all()
    assert cluster.exit_codes() == {"worker 0": 1, "worker 1": 1}, cluster.logs()
    for task in ("worker 0", "worker 1"):
        assert "training has diverged" in cluster.log(task)
        assert "no longer answers" not in cluster.log(task)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["worker 0", "worker 1"])
def test_sigterm_to_one_task_ends_all_after_the_same_step_with_a_checkpoint(make_cluster, task):
    cluster = make_cluster("--max_number_of_steps=100000", worker=2)
    cluster.start("worker 0")
    cluster.start("worker 1")
    cluster.wait_for_step(20)
    cluster.signal(task, signal.SIGTERM)
    assert cluster.exit_codes() == {"worker 0": 0, "worker 1": 0}, cluster.logs()
    step = cluster.result()["global_step"]
    assert _contributed(cluster, "worker 1") == (step, step)
    assert step_of(latest_checkpoint(cluster.train_dir)) == step
