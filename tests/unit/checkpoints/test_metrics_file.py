"""metrics.jsonl on this machine and at a URL."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from datasets.storage import path_of
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.metrics_file import MetricsFile
from slim_train.errors import RunError


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """A training folder at a URL."""
    return path_of(f"ram://metrics/{request.node.name}")


def test_a_line_is_on_this_machine_at_once(tmp_path: Path) -> None:
    MetricsFile(tmp_path, every_secs=1e9).add({"step": 1})
    assert training_folder.read_metrics(tmp_path) == [{"step": 1}]


def test_lines_reach_a_url_at_intervals_and_at_the_end(folder: Path) -> None:
    metrics = MetricsFile(folder, every_secs=1e9)
    metrics.add({"step": 1})
    metrics.add({"step": 2})
    assert training_folder.read_metrics(folder) == []
    metrics.close()
    assert training_folder.read_metrics(folder) == [{"step": 1}, {"step": 2}]
    at_once = MetricsFile(folder)
    at_once.add({"step": 3})
    at_once.close()
    assert [line["step"] for line in training_folder.read_metrics(folder)] == [1, 2, 3]


def test_lines_of_steps_that_come_again_are_dropped(folder: Path) -> None:
    metrics = MetricsFile(folder, every_secs=1e9)
    for step in (1, 2, 3):
        metrics.add({"step": step})
    metrics.forget_after(1)
    metrics.add({"step": 2, "loss": 0.5})
    assert metrics.lines() == [{"step": 1}, {"step": 2, "loss": 0.5}]
    metrics.close()
    assert training_folder.read_metrics(folder) == [{"step": 1}, {"step": 2, "loss": 0.5}]


def test_a_store_that_cannot_be_written_does_not_stop_the_training(
    caplog: pytest.LogCaptureFixture, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = MetricsFile(folder)

    def fail(url: str, content: bytes) -> None:
        raise OSError(errno.EIO, "Throttled", url)

    with monkeypatch.context() as broken:
        broken.setattr("datasets.tensorflow_files.copy", fail)
        metrics.add({"step": 1})
        metrics.add({"step": 2})
        metrics.forget_after(1)
        while not caplog.records:
            time.sleep(0.01)
    assert "Throttled. Trying again later." in caplog.text
    metrics.close()
    assert training_folder.read_metrics(folder) == [{"step": 1}]


def test_a_chief_that_was_replaced_leaves_the_lines_of_the_other(folder: Path) -> None:
    def check_lead() -> None:
        raise RunError("another chief has taken over")

    training_folder.write_metrics(folder, '{"step": 7}\n')
    old = MetricsFile(folder, check_lead=check_lead)
    old.forget_after(1)
    old.close()
    assert training_folder.read_metrics(folder) == [{"step": 7}]


def test_lines_are_known_before_the_store_has_them(tmp_path: Path, folder: Path) -> None:
    training_folder.write_metrics(folder, '{"step": 1}\n')
    for metrics in (MetricsFile(tmp_path, every_secs=1e9), MetricsFile(folder, every_secs=1e9)):
        metrics.add({"step": 2})
        assert metrics.lines()[-1] == {"step": 2}
    assert training_folder.read_metrics(folder) == [{"step": 1}]
