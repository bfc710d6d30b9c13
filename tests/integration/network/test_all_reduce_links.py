"""Training by all-reduce: a task that falls silent ends all of them, each with a line that says why."""

from __future__ import annotations

import re
import signal

import pytest

_END = re.compile(r"train_image_classifier: error: worker \d: (worker \d \(worker\d:2222\) no longer answers(, )?)+; ")


def _lines_after_the_last_step(cluster, task):
    return re.split(r"images/s.*\n", cluster.log(task))[-1].splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["worker 0", "worker 1"])
def test_each_task_ends_with_one_line_when_a_link_is_cut(make_cluster, network, lost):
    cluster = make_cluster("--max_number_of_steps=1000000", hosts=network, worker=3)
    cluster.start_all()
    cluster.wait_for_step(30)
    network.cut(lost)
    assert cluster.exit_codes() == {"worker 0": 1, "worker 1": 1, "worker 2": 1}
    for task in ("worker 0", "worker 1", "worker 2"):
        [line] = _lines_after_the_last_step(cluster, task)
        assert _END.match(line), line


@pytest.mark.slow
def test_the_others_end_with_one_line_when_a_task_hangs_and_so_does_that_one_when_it_wakes_up(make_cluster, network):
    cluster = make_cluster("--max_number_of_steps=1000000", hosts=network, worker=3)
    cluster.start_all()
    cluster.wait_for_step(30)
    cluster.signal("worker 1", signal.SIGSTOP)
    assert cluster.exit_codes("worker 0", "worker 2") == {"worker 0": 1, "worker 2": 1}
    cluster.signal("worker 1", signal.SIGCONT)
    assert cluster.exit_codes("worker 1") == {"worker 1": 1}
    for task in ("worker 0", "worker 1", "worker 2"):
        [line] = _lines_after_the_last_step(cluster, task)
        assert _END.match(line), line
