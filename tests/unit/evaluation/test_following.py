"""A training that is followed, in a store that fails at times."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slim_train.checkpoints import training_folder
from slim_train.errors import RunError
from slim_train.evaluation import following
from slim_train.evaluation.following import Following

AWAY = OSError(5, "away", "s3://bucket/run/checkpoint")


@pytest.fixture
def store_says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``store_says(*answers)``: answers of looks for the latest checkpoint; errors are raised, the last one is kept."""

    def start(*answers: Any) -> None:
        left = list(answers)

        def look(folder: Path) -> Any:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(following, "latest_checkpoint", look)

    return start


def test_looks_that_fail_are_logged_once_and_do_not_end_it(
    tmp_path: Path, store_says: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / training_folder.RESULT).touch()
    store_says(AWAY, AWAY, "model.ckpt-1", RunError("Cannot read checkpoint: away"), "model.ckpt-2")
    followed = Following(tmp_path, 0.01)
    seen = []
    for checkpoint in followed.checkpoints():
        with followed.evaluating(checkpoint):
            seen.append(checkpoint)
    assert seen == ["model.ckpt-1", "model.ckpt-2"]
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "s3://bucket/run/checkpoint: away. Trying again every 0.01 seconds.",
        "Cannot read checkpoint: away. Trying again every 0.01 seconds.",
    ]


def test_a_checkpoint_that_the_store_fails_on_is_evaluated_again(
    tmp_path: Path, store_says: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / training_folder.RESULT).touch()
    store_says("model.ckpt-1")
    followed = Following(tmp_path, 0.01)
    tries = 0
    for checkpoint in followed.checkpoints():
        with followed.evaluating(checkpoint):
            tries += 1
            if tries < 3:
                raise AWAY
    assert tries == 3
    assert caplog.text.count("away. Trying again") == 1


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), PermissionError(13, "denied"), ValueError("broken")])
def test_other_errors_end_it(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), Following(tmp_path, 0.01).evaluating("model.ckpt-1"):
        raise error


def test_waiting_for_a_training_outlasts_failures_after_the_first_look(
    tmp_path: Path, store_says: Callable[..., None]
) -> None:
    store_says(None, AWAY, None, "model.ckpt-1")
    Following(tmp_path, 0.01).wait_until_begun()
    store_says(AWAY)
    with pytest.raises(OSError, match="away"):
        Following(tmp_path, 0.01).wait_until_begun()
