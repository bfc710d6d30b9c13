"""All-reduce under launch_cluster: after a loss every task ends and is started again, and the job goes on by itself."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
_LIMIT_SECS = 400.0


class _Launched:
    """A job of two workers, and what its status file says."""

    def __init__(self, folder, dataset_dir):
        self.folder = folder
        command = [
            sys.executable, ROOT / "scripts/launch_cluster.py", "--num_ps=0", "--num_workers=2", "--max_restarts=3",
            f"--status_file={folder}/status.json", "--", "train_image_classifier", f"--dataset_dir={dataset_dir}",
            f"--train_dir={folder}/train", "--model_name=lenet", "--batch_size=8", "--clone_on_cpu",
            "--learning_rate=0.001", "--max_number_of_steps=1000000", "--log_every_n_steps=5",
            "--save_summaries_secs=0", "--save_interval_steps=20", "--collective_timeout_secs=20",
        ]  # fmt: skip
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        )

    @property
    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    @property
    def checkpoint_state(self):
        return (self.folder / "train" / "checkpoint").read_text()

    def tasks(self):
        try:
            tasks = json.loads((self.folder / "status.json").read_text()).get("tasks", [])
        except FileNotFoundError:
            tasks = []
        return {task["name"]: task for task in tasks}

    def wait_until(self, condition):
        deadline = time.monotonic() + _LIMIT_SECS
        while not condition():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.2)

    def wait_for_training(self, restarts):
        """Wait until both workers have made some steps of their process number ``restarts``."""
        self.wait_until(
            lambda: (
                (tasks := self.tasks().values())
                and all(task["restarts"] == restarts and task["steps_per_second"] for task in tasks)
            )
        )

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self._log.close()


@pytest.fixture
def job(tmp_path, shapes_dir):
    job = _Launched(tmp_path, shapes_dir)
    yield job
    job.close()


@pytest.mark.parametrize(
    ("lost", "number"), [("worker 1", signal.SIGKILL), ("worker 0", signal.SIGSTOP)], ids=["killed", "hangs"]
)
def test_the_job_goes_on_from_the_last_checkpoint_by_itself(job, lost, number):
    job.wait_for_training(restarts=0)
    job.wait_until(lambda: re.match(r'model_checkpoint_path: "model.ckpt-[1-9]', job.checkpoint_state))
    os.kill(job.tasks()[lost]["pid"], number)
    job.wait_for_training(restarts=1)
    [other] = {"worker 0", "worker 1"} - {lost}
    assert f"{lost}: failed, killed by SIGKILL; restart 1 of 3." in job.log
    assert f"{other}: failed, exit code 1; restart 1 of 3." in job.log
    assert (f"{lost}: does not answer {other}: killed." in job.log) == (number == signal.SIGSTOP)
    assert int(re.search(r"RESUMING from .*/model.ckpt-(\d+)", job.log).group(1)) > 0
    assert "Traceback" not in job.log
