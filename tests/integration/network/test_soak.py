"""A job under faults drawn by a seed, one after the other, and then quiet: what was promised must have held."""

from __future__ import annotations

import datetime
import itertools
import os
import random
import re
import signal
import time

import pytest

from slim_train.cli import eval_image_classifier

# SLIM_TRAIN_SOAK_SECS=900 SLIM_TRAIN_SOAK_SEEDS=1,2,3: longer, and other faults. The job starts and ends beyond them.
_SECS = float(os.environ.get("SLIM_TRAIN_SOAK_SECS", "150"))
_TASKS = ("ps 0", "ps 1", "chief 0", "worker 0", "worker 1")
_TRAINING = ("chief 0", "worker 0", "worker 1")
_LINE = re.compile(r"^(?:\w+ \d: )?(\d\d:\d\d:\d\d) I step (\d+)[/ ]", re.MULTILINE)


class _Faults:
    """Faults of a cluster, each with its end."""

    def __init__(self, cluster, network, seed):
        self._cluster, self._network, self._random = cluster, network, random.Random(seed)
        self.said = []
        self.server_kills = []

    def happen(self):
        """Let a fault happen, last, and end."""
        task = self._random.choice(_TASKS)
        other = self._random.choice([other for other in _TASKS if other != task])
        name = self._random.choice(["kill", "stop", "cut", "half_cut", "readdress"])
        lasting = self._random.uniform(1, 15)
        self.said.append(f"{datetime.datetime.now():%H:%M:%S} {name} {task} for {lasting:.0f} s ({other})")
        if name == "stop":
            self._cluster.signal(task, signal.SIGSTOP)
            time.sleep(lasting)
            self._cluster.signal(task, signal.SIGCONT)
        elif name in ("cut", "half_cut"):
            self._network.cut(task) if name == "cut" else self._network.half_cut(task, other)
            time.sleep(lasting)
            self._network.mend(task)
        else:
            if name == "readdress":
                self._network.cut(task)
            if task.startswith("ps"):
                self.server_kills.append(datetime.datetime.now())
            self._cluster.kill(task)
            time.sleep(lasting)
            if name == "readdress":
                self._network.readdress(task)
                self._network.mend(task)
            self._cluster.start(task)
        time.sleep(self._random.uniform(2, 8))


def _falls(cluster, task):
    """Return from when to when a task saw the global step fall, and from which step to which."""
    today = datetime.datetime.now().date()
    lines = [
        (datetime.datetime.combine(today, datetime.time.fromisoformat(at)), int(step))
        for at, step in _LINE.findall(cluster.log(task))
    ]
    return [(a, b, before, after) for (a, before), (b, after) in itertools.pairwise(lines) if after < before]


@pytest.mark.slow
@pytest.mark.parametrize("seed", os.environ.get("SLIM_TRAIN_SOAK_SEEDS", "1").split(","))
def test_after_many_faults_the_job_ends_and_no_step_was_lost_while_the_servers_lived(make_cluster, network, seed):
    signal.alarm(int(_SECS) + 600)
    flags = ("--max_number_of_steps=1000000", "--save_interval_secs=2", "--task_timeout_secs=5")
    cluster = make_cluster(*flags, hosts=network, ps=2, chief=1, worker=2)
    cluster.start_all()
    for task in _TRAINING:
        cluster.wait_for_log(task, "images/s")
    faults = _Faults(cluster, network, seed)
    began = time.monotonic()
    while time.monotonic() - began < _SECS:
        faults.happen()
        for task in _TASKS:
            assert cluster.is_running(task), f"{task} ended by itself. {faults.said}\n{cluster.logs()}"

    counts = {task: len(cluster.logged_steps(task)) for task in _TRAINING}
    for task in _TRAINING:
        cluster.wait_until(lambda task=task: len(cluster.logged_steps(task)) > counts[task] + 10, f"steps of {task}")
    cluster.signal("chief 0", signal.SIGTERM)
    assert set(cluster.exit_codes(*_TASKS).values()) == {0}, f"{faults.said}\n{cluster.logs()}"
    second = datetime.timedelta(seconds=2)
    for task in _TASKS:
        assert "Traceback" not in cluster.log(task), f"{task}: {faults.said}"
        for fell_after, seen_at, before, after in _falls(cluster, task):
            assert any(fell_after - second <= killed <= seen_at + second for killed in faults.server_kills), (
                f"{task}: step {before} at {fell_after}, {after} at {seen_at}. {faults.said}"
            )
    train_dir = cluster.train_dir
    assert eval_image_classifier.COMMAND.main([f"--checkpoint_path={train_dir}", f"--eval_dir={train_dir}"]) == 0
    assert '"accuracy": 1.0' in (train_dir / "eval_test.json").read_text()
