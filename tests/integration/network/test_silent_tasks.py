"""Parameter servers that fall silent: a lost node, a cut link, a process that hangs. Nothing resets a connection."""

from __future__ import annotations

import re
import signal
import time

import pytest

_TRAINING = ("chief 0", "worker 0")


def _start(make_cluster, network, *flags):
    """A job whose worker has joined, with a checkpoint."""
    flags = ("--max_number_of_steps=1000000", "--save_interval_secs=1", *flags)
    cluster = make_cluster(*flags, hosts=network, ps=1, chief=1, worker=1)
    cluster.start_all()
    cluster.wait_for_log("worker 0", "images/s")
    cluster.wait_for_step(cluster.metrics()[-1]["step"] + 100)
    return cluster


def _wait_until_all_go_on(cluster):
    before = {task: len(cluster.logged_steps(task)) for task in _TRAINING}
    for task in _TRAINING:
        cluster.wait_until(lambda task=task: len(cluster.logged_steps(task)) > before[task] + 2, f"steps of {task}")


@pytest.mark.slow
def test_a_parameter_servers_node_that_is_lost_is_noticed_and_its_replacement_filled(make_cluster, network):
    cluster = _start(make_cluster, network, "--task_timeout_secs=5")
    network.cut("ps 0")
    cluster.kill("ps 0")
    for task in _TRAINING:
        cluster.wait_for_log(task, "ps 0 (ps0:2222) has not answered for 5 s (--task_timeout_secs)")
        cluster.wait_for_log(task, "Waiting for ps 0 (ps0:2222)")
    network.readdress("ps 0")
    network.mend("ps 0")
    cluster.start("ps 0")
    _wait_until_all_go_on(cluster)
    assert len(re.findall(r"Restoring .*model.ckpt-\d+", cluster.log("chief 0"))) == 1
    for task in _TRAINING:
        assert cluster.log(task).count("has not answered") == 1


@pytest.mark.slow
def test_a_replacement_is_noticed_before_the_silence_is_too_long(make_cluster, network):
    cluster = _start(make_cluster, network, "--task_timeout_secs=600")
    network.cut("ps 0")
    cluster.kill("ps 0")
    network.readdress("ps 0")
    network.mend("ps 0")
    cluster.start("ps 0")
    _wait_until_all_go_on(cluster)
    for task in _TRAINING:
        assert "ps 0 (ps0:2222) has been replaced" in cluster.log(task)
        assert "has not answered" not in cluster.log(task)


@pytest.mark.slow
def test_all_tasks_go_on_when_a_parameter_servers_link_is_back_and_nothing_is_lost(make_cluster, network):
    cluster = _start(make_cluster, network)
    network.cut("ps 0")
    step = max(cluster.logged_steps("worker 0"))
    time.sleep(60)
    for task in _TRAINING:
        assert "ps 0 (ps0:2222) has not answered for 30 s" in cluster.log(task)
    network.mend("ps 0")
    _wait_until_all_go_on(cluster)
    assert "Restoring" not in cluster.log("chief 0")
    for task in _TRAINING:
        assert "answers again" in cluster.log(task)
        assert cluster.logged_steps(task) == sorted(cluster.logged_steps(task))
        assert cluster.logged_steps(task)[-1] > step


@pytest.mark.slow
def test_a_parameter_server_that_hangs_and_wakes_up_is_joined_again_and_nothing_is_lost(make_cluster, network):
    cluster = _start(make_cluster, network, "--task_timeout_secs=5")
    cluster.signal("ps 0", signal.SIGSTOP)
    for task in _TRAINING:
        cluster.wait_for_log(task, "ps 0 (ps0:2222) has not answered for 5 s")
        cluster.wait_for_log(task, "Waiting for ps 0 (ps0:2222)")
    cluster.signal("ps 0", signal.SIGCONT)
    _wait_until_all_go_on(cluster)
    assert "Restoring" not in cluster.log("chief 0")
    for task in _TRAINING:
        assert cluster.logged_steps(task) == sorted(cluster.logged_steps(task))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_task_that_waits_for_a_lost_parameter_server(make_cluster, network, number):
    cluster = _start(make_cluster, network, "--task_timeout_secs=5")
    network.cut("ps 0")
    cluster.wait_for_log("worker 0", "Waiting for ps 0")
    cluster.signal("worker 0", number)
    assert cluster.exit_codes("worker 0") == {"worker 0": 0}
    assert "Traceback" not in cluster.log("worker 0")
