from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from slim_train.training.hooks.mlflow import MlflowHook
from slim_train.training.mlflow_run import MlflowRun


class Written:
    """A run that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def start(self) -> None:
        self.told.append("start")

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self.told.append((step, dict(values)))

    def close(self, status: str) -> None:
        self.told.append(status)


def hook_and_run(is_interrupted: bool = False) -> tuple[MlflowHook, Written]:
    run = Written()
    return MlflowHook(cast(MlflowRun, run), lambda: (9, {"final/loss": 0.1}), lambda: is_interrupted), run


def test_lines_have_the_names_that_tensorboard_shows() -> None:
    hook, run = hook_and_run()
    hook.add_line({"step": 3, "loss": 0.5, "learning_rate": 0.1})
    hook.add_line({"step": 4, "eval_accuracy": 0.75})
    assert run.told == [(3, {"train/loss": 0.5, "train/learning_rate": 0.1}), (4, {"eval/accuracy": 0.75})]


@pytest.mark.parametrize(
    ("ends", "is_interrupted", "told"),
    [
        (True, False, ["start", (9, {"final/loss": 0.1}), "FINISHED"]),
        (True, True, ["start", (9, {"final/loss": 0.1}), "KILLED"]),
        (False, False, ["start", "FAILED"]),
    ],
)
def test_the_status_is_how_the_training_ended(ends: bool, is_interrupted: bool, told: list[Any]) -> None:
    hook, run = hook_and_run(is_interrupted)
    hook.after_create_session(None, None)
    if ends:
        hook.end(None)
    hook.close()
    assert run.told == told


def test_a_training_without_a_session_makes_no_run() -> None:
    hook, run = hook_and_run()
    hook.close()
    assert run.told == []
