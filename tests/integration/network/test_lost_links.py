"""Jobs on parameter servers whose links are cut: the other side falls silent, and nobody is told."""

from __future__ import annotations

import time

import pytest

from slim_train.checkpoints.find import saved_checkpoints, step_of


@pytest.mark.slow
def test_a_chief_whose_link_was_cut_joins_the_job_that_went_on_and_the_step_never_falls(make_cluster, network):
    cluster = make_cluster(
        "--max_number_of_steps=1000000", "--save_interval_secs=5", hosts=network, ps=1, chief=1, worker=2
    )
    cluster.start_all()
    cluster.wait_for_log("worker 1", "images/s")
    cluster.wait_for_step(200)
    network.cut("chief 0")
    time.sleep(45)
    on_return = max(cluster.logged_steps("worker 0"))
    before = len(cluster.logged_steps("chief 0"))
    network.mend("chief 0")
    cluster.wait_until(lambda: len(cluster.logged_steps("chief 0")) > before + 3, "steps of the chief")
    assert cluster.logged_steps("chief 0")[before] >= on_return, cluster.logs()
    assert "Restoring" not in cluster.log("chief 0")
    for task in ("chief 0", "worker 0", "worker 1"):
        assert cluster.logged_steps(task) == sorted(cluster.logged_steps(task)), cluster.logs()
    saved = [step_of(checkpoint) for checkpoint in saved_checkpoints(cluster.train_dir)]
    assert saved == sorted(saved)
