"""A training folder that cannot be written for a while: its disk is full, or its file system read-only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from slim_train.checkpoints.find import is_complete, latest_checkpoint, saved_checkpoints, step_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs Linux and root"),
]


@pytest.fixture
def cluster(make_cluster):
    """A parameter server and a chief that saves every second, in a folder of 200 MB."""
    cluster = make_cluster(
        "--max_number_of_steps=1000000", "--save_interval_secs=1", "--max_checkpoints_to_keep=2",
        "--save_summaries_secs=1", ps=1, worker=1,
    )  # fmt: skip
    cluster.train_dir.mkdir()
    _mount("-t", "tmpfs", "-o", "size=200m", "tmpfs", cluster.train_dir)
    yield cluster
    cluster.close()
    while subprocess.run(["umount", cluster.train_dir], capture_output=True, check=False).returncode == 0:
        pass


def _mount(*words):
    subprocess.run(["mount", *words], check=True)


def _start(cluster):
    cluster.start_all()
    cluster.wait_for_log("worker 0", "images/s", times=5)
    cluster.wait_until(lambda: len(saved_checkpoints(cluster.train_dir)) == 2, "checkpoints", task="worker 0")


def _fill(folder):
    with (folder / "other").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass


def _check_whole(cluster):
    """No file of the folder is half a checkpoint, and nothing was said but in lines."""
    assert not [path.name for path in cluster.train_dir.iterdir() if "temp" in path.name or ".tmp" in path.name]
    data = [path.name.partition(".data-")[0] for path in cluster.train_dir.glob("*.data-*")]
    assert all(is_complete(str(cluster.train_dir / name)) for name in data)
    assert "Traceback" not in cluster.log("worker 0")
    assert "EventFileWriter" not in cluster.log("worker 0")


def test_training_survives_a_full_disk_and_saves_when_there_is_room_again(cluster):
    _start(cluster)
    before = latest_checkpoint(cluster.train_dir)
    _fill(cluster.train_dir)
    cluster.wait_for_log("worker 0", f"Cannot save a checkpoint in {cluster.train_dir}: No space left on device.")
    lines = cluster.log("worker 0").count("images/s")
    cluster.wait_for_log("worker 0", "images/s", times=lines + 20)
    assert step_of(latest_checkpoint(cluster.train_dir)) >= step_of(before)
    _check_whole(cluster)
    (cluster.train_dir / "other").unlink()
    cluster.wait_for_log("worker 0", "Checkpoints can be saved again")
    cluster.signal("worker 0", signal.SIGTERM)
    assert cluster.exit_codes() == {"ps 0": 0, "worker 0": 0}
    assert cluster.log("worker 0").count("Cannot save a checkpoint") == 1
    assert step_of(latest_checkpoint(cluster.train_dir)) == cluster.result()["global_step"]
    _check_whole(cluster)


def test_at_its_end_training_waits_for_a_folder_that_is_read_only(cluster):
    _start(cluster)
    _mount("--bind", cluster.train_dir, cluster.train_dir)
    _mount("-o", "remount,bind,ro", cluster.train_dir)
    cluster.wait_for_log("worker 0", f"Cannot save a checkpoint in {cluster.train_dir}: Read-only file system.")
    cluster.signal("worker 0", signal.SIGTERM)
    time.sleep(5)
    subprocess.run(["umount", cluster.train_dir], check=True)
    assert cluster.exit_codes() == {"ps 0": 0, "worker 0": 0}
    assert step_of(latest_checkpoint(cluster.train_dir)) == cluster.result()["global_step"]
    _check_whole(cluster)


def test_a_disk_that_stays_full_to_the_end_is_one_line_and_keeps_the_checkpoints_before(cluster):
    _start(cluster)
    _fill(cluster.train_dir)
    cluster.wait_for_log("worker 0", "Cannot save a checkpoint")
    saved = saved_checkpoints(cluster.train_dir)
    cluster.signal("worker 0", signal.SIGTERM)
    assert cluster.exit_codes("worker 0") == {"worker 0": 1}
    last = cluster.log("worker 0").splitlines()[-1]
    assert last.startswith(
        f"train_image_classifier: error: Cannot save a checkpoint in {cluster.train_dir}: No space left on device. "
    )
    assert saved_checkpoints(cluster.train_dir) == saved
    _check_whole(cluster)
