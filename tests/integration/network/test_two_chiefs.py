"""A chief that is replaced while it is cut off, or hangs: only the replacement writes to the training folder."""

from __future__ import annotations

import json
import signal

import pytest

from slim_train.checkpoints.find import latest_checkpoint, step_of


def _replace(cluster, network, task, name):
    """Start another process for ``task`` on another host of that name; call the one before ``name``."""
    cluster.rename(task, name)
    network.rename(task, name)
    network.address(task)
    cluster.start(task)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut", "hang"])
def test_a_chief_that_was_replaced_ends_with_one_line_and_overwrites_nothing(make_cluster, network, fault):
    flags = ("--max_number_of_steps=1000000", "--save_interval_secs=1", "--task_timeout_secs=5")
    cluster = make_cluster(*flags, hosts=network, ps=1, chief=1, worker=1)
    cluster.start_all()
    cluster.wait_for_log("worker 0", "images/s")
    cluster.wait_for_step(100)
    if fault == "cut":
        network.cut("chief 0")
    else:
        cluster.signal("chief 0", signal.SIGSTOP)
    _replace(cluster, network, "chief 0", "chief before")
    cluster.wait_for_log("chief 0", "joining it")
    cluster.wait_for_log("chief 0", "images/s", times=5)
    if fault == "cut":
        network.mend("chief before")
    else:
        cluster.signal("chief before", signal.SIGCONT)
    assert cluster.exit_codes("chief before") == {"chief before": 1}
    last = cluster.log("chief before").splitlines()[-1]
    assert last.startswith("train_image_classifier: error: chief: another chief (process ")
    assert str(cluster.train_dir) in last
    assert "Traceback" not in cluster.log("chief before")

    step = cluster.metrics()[-1]["step"]
    cluster.wait_for_step(step + 200)
    steps = [line["step"] for line in cluster.metrics()]
    assert steps == sorted(steps)
    assert cluster.logged_steps("worker 0") == sorted(cluster.logged_steps("worker 0"))
    assert cluster.is_running("worker 0")
    cluster.signal("chief 0", signal.SIGTERM)
    assert cluster.exit_codes("chief 0", "worker 0", "ps 0") == {"chief 0": 0, "worker 0": 0, "ps 0": 0}
    assert (
        step_of(latest_checkpoint(cluster.train_dir))
        == json.loads((cluster.train_dir / "result.json").read_text())["global_step"]
        > step
    )
