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
@pytest.mark.parametrize(("fixture", "scheme"), [("gcs", "gs"), ("s3", "s3")])
def test_a_chief_that_is_killed_in_the_middle_of_an_upload_resumes_from_the_checkpoint_before(
    fixture: str, scheme: str, shapes_dir: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store: Any = request.getfixturevalue(fixture)
    copy_folder(shapes_dir, path_of(f"{scheme}://bucket/shapes"), last="info.json")
    upload = store.fail("PUT", "model.ckpt-3", wait_secs=30.0)
    log = tmp_path / "log"
    roles = ["--num_ps=1", "--num_workers=1", "--chief", "--max_restarts=1", "--nodashboard", "--"]
    folders = [f"--dataset_dir={scheme}://bucket/shapes", f"--train_dir={scheme}://bucket/run"]
    flags = ["--model_name=lenet", "--batch_size=8", "--max_number_of_steps=30"]
    command = [sys.executable, str(ROOT / "scripts/launch_cluster.py"), *roles, "train_image_classifier"]
    with (
        log.open("w") as output,
        subprocess.Popen([*command, *folders, *flags], stdout=output, stderr=output) as cluster,
    ):
        try:
            deadline = time.monotonic() + TIMEOUT
            while store.times_left(upload) and cluster.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not store.times_left(upload), log.read_text()
            started = re.findall(r"chief: started, process (\d+)", log.read_text())
            os.kill(int(started[-1]), signal.SIGKILL)
            assert cluster.wait(TIMEOUT) == 0, log.read_text()
        finally:
            cluster.terminate()
    assert f"RESUMING from {scheme}://bucket/run/model.ckpt-0" in log.read_text()
    latest = latest_checkpoint(f"{scheme}://bucket/run")
    assert latest is not None
    assert int(latest.rpartition("-")[2]) >= 30
    secrets = [value for name, value in store.environment().items() if re.search("TOKEN|SECRET|KEY_ID", name)]
    assert secrets
    for name in store.objects("run"):
        content = path_of(f"{scheme}://bucket/{name}").read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], name
    assert not [secret for secret in secrets if secret in log.read_text()]
    left = list(store.objects("run"))
    assert not [name for name in left if "temp" in name or ".tmp" in name]
    assert not [name for name in left if ".data-" in name and f"{name.partition('.data-')[0]}.index" not in left]
