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

# An operation at s3:// fails after 52 s, so that everything that asks the store has failed twice.
_WINDOWS, _SECS = 13, 10


class SilentStore:
    """A store that can be silenced.

    Attributes:
      scheme: gs or s3.
      run: URL of the training folder.
      cannot: how a log line begins that says that checkpoints cannot be saved.
    """

    def __init__(self, store: Any, scheme: str) -> None:
        self._store, self.scheme, self._pid = store, scheme, int(store.pid())
        self.run = f"{scheme}://bucket/run"
        self.cannot = f"Cannot save a checkpoint in {self.run}: "

    def names(self) -> list[str]:
        return list(self._store.objects("run"))

    def checkpoints(self) -> list[str]:
        return [name for name in self.names() if re.fullmatch(r"run/model\.ckpt-\d+\.index", name)]

    def is_between_uploads(self) -> bool:
        """Return whether the last file of a checkpoint that came to s3:// is the last of its upload."""
        addresses = [address for _, address in self._store.requests()]
        uploads = [address for address in addresses if re.search(r"/run/(model\.ckpt-|checkpoint$)", address)]
        return self.scheme != "s3" or (bool(uploads) and uploads[-1].endswith("/checkpoint"))

    def silence(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def answer(self) -> None:
        os.kill(self._pid, signal.SIGCONT)


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest, shapes_dir: Path) -> Iterator[SilentStore]:
    """The store, with the records. It answers again at the end."""
    scheme = str(request.param)
    emulator: Any = request.getfixturevalue({"gs": "gcs"}.get(scheme, scheme))
    copy_folder(shapes_dir, path_of(f"{scheme}://bucket/shapes"), last="info.json")
    store = SilentStore(emulator, scheme)
    yield store
    store.answer()


def _start(cluster: Any, store: SilentStore, records: str) -> None:
    """Train until checkpoints and evaluations have come, and silence the store.

    It falls silent between two uploads of checkpoints: one that was cut off would take longer to fail.
    """
    cluster.start_all(f"--dataset_dir={records}", f"--train_dir={store.run}")

    def has_begun() -> bool:
        written = {"run/best/best.json", "run/metrics.jsonl"} <= set(store.names())
        return written and len(store.checkpoints()) > 1 and store.is_between_uploads()

    cluster.wait_until(has_begun, "checkpoints", task="worker 0")
    store.silence()


def _flags(**more: object) -> list[str]:
    flags = {
        "max_number_of_steps": 10**9,
        "save_interval_secs": 10,
        "save_summaries_secs": 2,
        "eval_split_name": "test",
    }
    return [f"--{name}={value}" for name, value in {**flags, "eval_every_n_steps": 200, **more}.items()]


def test_training_goes_on_while_the_store_is_silent_and_saves_when_it_answers(
    make_cluster: Callable[..., Any], store: SilentStore, shapes_dir: Path
) -> None:
    cluster = make_cluster(*_flags(), ps=1, worker=1)
    # TensorFlow reads gs:// itself, in each epoch.
    _start(cluster, store, str(shapes_dir) if store.scheme == "gs" else "s3://bucket/shapes")
    for window in range(_WINDOWS):
        before = len(cluster.logged_steps("worker 0"))
        time.sleep(_SECS)
        steps = cluster.logged_steps("worker 0")
        assert len(steps) > before, f"window {window}:\n{cluster.logs()}"
    # TensorFlow's client for gs:// tries for longer.
    said = store.cannot if store.scheme == "s3" else "A checkpoint has waited a minute"
    assert cluster.log("worker 0").count(said) == 1
    store.answer()
    if store.scheme == "s3":
        cluster.wait_for_log("worker 0", f"Checkpoints can be saved again in {store.run}.")
    cluster.signal("worker 0", signal.SIGTERM)
    assert cluster.exit_codes() == {"ps 0": 0, "worker 0": 0}

    assert cluster.log("worker 0").count(said) == 1
    assert "Traceback" not in cluster.log("worker 0")
    assert "Cannot draw" not in cluster.log("worker 0")
    latest, folder = latest_checkpoint(store.run), path_of(store.run)
    assert latest
    assert step_of(latest) == read_json(folder / "result.json")["global_step"] > steps[-1]
    assert f'"step": {steps[-1]},' in (folder / "metrics.jsonl").read_text()
    names = store.names()
    assert [name for name in names if "/events.out.tfevents" in name]
    assert len(store.checkpoints()) <= 5
    assert not [name for name in names if ".data-" in name and f"{name.partition('.data-')[0]}.index" not in names]


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_training_gives_up_in_one_line_if_the_store_stays_silent(
    make_cluster: Callable[..., Any], store: SilentStore
) -> None:
    cluster = make_cluster(*_flags(save_retry_secs=30), worker=1)
    _start(cluster, store, "s3://bucket/shapes")
    assert cluster.exit_codes() == {"worker 0": 1}
    store.answer()
    log = cluster.log("worker 0")
    assert "Traceback" not in log
    assert log.count(store.cannot) == 2
    last = rf"error: {store.cannot}.*\. Gave up after --save_retry_secs=30\. Start again"
    assert re.search(last, log.splitlines()[-1])
    (kept,) = re.findall(r"A newer one is kept in (\S+): copy its files", log)
    before, newest = latest_checkpoint(store.run), latest_checkpoint(kept)
    assert before
    assert newest
    assert step_of(newest) > step_of(before)
    for folder in re.findall(r"kept in ([^\s:]+):", log):
        shutil.rmtree(folder)
