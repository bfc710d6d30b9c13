"""A store that takes connections and does not answer for a while."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datasets.storage import copy_folder, path_of
from slim_train.checkpoints.find import latest_checkpoint, step_of
from slim_train.checkpoints.training_folder import read_json

pytestmark = pytest.mark.slow

RUN = "s3://bucket/run"
# An operation fails after 52 s, so that everything that asks the store has failed twice.
_WINDOWS, _SECS = 13, 10
_CANNOT = f"Cannot save a checkpoint in {RUN}: "


@pytest.fixture
def store(s3: Any, shapes_dir: Path) -> Iterator[Any]:
    """The store, with the records. It answers again at the end."""
    copy_folder(shapes_dir, path_of("s3://bucket/shapes"), last="info.json")
    pid = s3.pid()
    yield s3
    os.kill(pid, signal.SIGCONT)


def _start(cluster: Any, store: Any) -> int:
    """Train until checkpoints and evaluations have come, silence the store, and return its process.

    It falls silent between two uploads of checkpoints: one that was cut off would take longer to fail.
    """
    pid = int(store.pid())
    cluster.start_all("--dataset_dir=s3://bucket/shapes", f"--train_dir={RUN}")

    def has_begun() -> bool:
        names = store.objects("run")
        saved = [name for name in names if re.fullmatch(r"run/model\.ckpt-\d+\.index", name)]
        uploads = [address for _, address in store.requests() if re.search(r"/run/(model\.ckpt-|checkpoint$)", address)]
        is_between = bool(uploads) and uploads[-1].endswith("/checkpoint")
        return is_between and len(saved) > 1 and {"run/best/best.json", "run/metrics.jsonl"} <= set(names)

    cluster.wait_until(has_begun, "checkpoints", task="worker 0")
    os.kill(pid, signal.SIGSTOP)
    return pid


def _flags(**more: object) -> list[str]:
    flags = {
        "max_number_of_steps": 10**9,
        "save_interval_secs": 10,
        "save_summaries_secs": 2,
        "eval_split_name": "test",
    }
    return [f"--{name}={value}" for name, value in {**flags, "eval_every_n_steps": 200, **more}.items()]


def test_training_goes_on_while_the_store_is_silent_and_saves_when_it_answers(
    make_cluster: Callable[..., Any], store: Any
) -> None:
    cluster = make_cluster(*_flags(), ps=1, worker=1)
    pid = _start(cluster, store)
    for window in range(_WINDOWS):
        before = len(cluster.logged_steps("worker 0"))
        time.sleep(_SECS)
        steps = cluster.logged_steps("worker 0")
        assert len(steps) > before, f"window {window}:\n{cluster.logs()}"
    assert cluster.log("worker 0").count(_CANNOT) == 1
    os.kill(pid, signal.SIGCONT)
    cluster.wait_for_log("worker 0", f"Checkpoints can be saved again in {RUN}.")
    cluster.signal("worker 0", signal.SIGTERM)
    assert cluster.exit_codes() == {"ps 0": 0, "worker 0": 0}

    assert cluster.log("worker 0").count(_CANNOT) == 1
    assert "Traceback" not in cluster.log("worker 0")
    latest = latest_checkpoint(RUN)
    assert latest
    assert step_of(latest) == read_json(path_of(RUN) / "result.json")["global_step"] > steps[-1]
    assert [
        line for line in (path_of(RUN) / "metrics.jsonl").read_text().splitlines() if f'"step": {steps[-1]},' in line
    ]
    names = list(store.objects("run"))
    assert [name for name in names if "/events.out.tfevents" in name]
    assert len([name for name in names if re.fullmatch(r"run/model\.ckpt-\d+\.index", name)]) <= 5
    assert not [name for name in names if ".data-" in name and f"{name.partition('.data-')[0]}.index" not in names]


def test_a_training_gives_up_in_one_line_if_the_store_stays_silent(
    make_cluster: Callable[..., Any], store: Any
) -> None:
    cluster = make_cluster(*_flags(save_retry_secs=30), worker=1)
    pid = _start(cluster, store)
    assert cluster.exit_codes() == {"worker 0": 1}
    os.kill(pid, signal.SIGCONT)
    log = cluster.log("worker 0")
    assert "Traceback" not in log
    assert log.count(_CANNOT) == 2
    assert re.search(rf"error: {_CANNOT}.*\. Gave up after --save_retry_secs=30\. Start again", log.splitlines()[-1])
    (kept,) = re.findall(r"A newer one is kept in (\S+): copy its files", log)
    before, newest = latest_checkpoint(RUN), latest_checkpoint(kept)
    assert before
    assert newest
    assert step_of(newest) > step_of(before)
    for folder in re.findall(r"kept in ([^\s:]+):", log):
        shutil.rmtree(folder)
