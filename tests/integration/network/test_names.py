"""Host names that do not resolve for a while: a name server that does not answer."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.slow


def test_a_job_whose_names_do_not_resolve_for_a_minute_goes_on_and_a_task_that_starts_waits(make_cluster, network):
    tasks = ("ps 0", "chief 0", "worker 0", "worker 1")
    cluster = make_cluster("--max_number_of_steps=1000000", hosts=network, ps=1, chief=1, worker=2)
    cluster.start_all()
    for task in tasks[1:]:
        cluster.wait_for_log(task, "images/s")
    before = {task: len(cluster.logged_steps(task)) for task in tasks[1:]}
    network.take_name(*tasks)
    cluster.kill("worker 1")
    cluster.start("worker 1")
    cluster.wait_for_log("worker 1", "Waiting for ps 0 (ps0:2222)")
    time.sleep(60)
    for task in ("chief 0", "worker 0"):
        assert len(cluster.logged_steps(task)) > before[task] + 5
        assert "ps 0" not in cluster.log(task).partition("images/s")[2]
    network.give_name(*tasks)
    joined = len(cluster.logged_steps("worker 1"))
    cluster.wait_until(lambda: len(cluster.logged_steps("worker 1")) > joined + 2, "steps", task="worker 1")
    assert all("Traceback" not in cluster.log(task) for task in tasks)


@pytest.mark.parametrize("sizes", [{"ps": 1, "chief": 1, "worker": 1}, {"worker": 2}], ids=["servers", "all_reduce"])
def test_a_job_that_starts_before_its_names_resolve_waits_for_them(make_cluster, network, sizes):
    cluster = make_cluster("--max_number_of_steps=20", hosts=network, **sizes)
    tasks = [f"{type_} {number}" for type_, count in sizes.items() for number in range(count)]
    network.take_name(*tasks)
    cluster.start_all()
    cluster.wait_for_log(tasks[-1], "Waiting for")
    time.sleep(30)
    network.give_name(*tasks)
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert all("Traceback" not in cluster.log(task) for task in tasks)
