"""A cluster whose data and training folder are in a store."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from datasets.storage import copy_folder, path_of
from slim_train.checkpoints.find import latest_checkpoint

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT = 240.0


@pytest.mark.slow
def test_a_chief_that_is_killed_in_the_middle_of_an_upload_resumes_from_the_checkpoint_before(
    gcs: Any, shapes_dir: Path, tmp_path: Path
) -> None:
    copy_folder(shapes_dir, path_of("gs://bucket/shapes"), last="info.json")
    upload = gcs.fail("PUT", "model.ckpt-3", wait_secs=30.0)
    log = tmp_path / "log"
    roles = ["--num_ps=1", "--num_workers=1", "--chief", "--max_restarts=1", "--nodashboard", "--"]
    folders = ["--dataset_dir=gs://bucket/shapes", "--train_dir=gs://bucket/run"]
    flags = ["--model_name=lenet", "--batch_size=8", "--max_number_of_steps=30"]
    command = [sys.executable, str(ROOT / "scripts/launch_cluster.py"), *roles, "train_image_classifier"]
    with (
        log.open("w") as output,
        subprocess.Popen([*command, *folders, *flags], stdout=output, stderr=output) as cluster,
    ):
        try:
            deadline = time.monotonic() + TIMEOUT
            while gcs.times_left(upload) and cluster.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not gcs.times_left(upload), log.read_text()
            started = re.findall(r"chief: started, process (\d+)", log.read_text())
            os.kill(int(started[-1]), signal.SIGKILL)
            assert cluster.wait(TIMEOUT) == 0, log.read_text()
        finally:
            cluster.terminate()
    assert "RESUMING from gs://bucket/run/model.ckpt-0" in log.read_text()
    latest = latest_checkpoint("gs://bucket/run")
    assert latest is not None
    assert int(latest.rpartition("-")[2]) >= 30
    assert not [name for name in gcs.objects("run") if "temp" in name or ".tmp" in name]
