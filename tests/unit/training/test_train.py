"""The story of a training, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slim_train.errors import UsageError
from slim_train.tf_compat import tf
from slim_train.training import prepare
from slim_train.training.hooks import of_task
from slim_train.training.train import run
from slim_train.training_options import TrainOptions

Options = Callable[..., TrainOptions]


class _CountSteps(tf.train.SessionRunHook):
    """Counts the trainings that begin, and their steps."""

    def __init__(self) -> None:
        self.begun = self.steps = 0

    def begin(self) -> None:
        self.begun += 1

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.steps += 1


def test_a_users_hook_runs_beside_each_step_and_training_that_has_ended_begins_no_more(options: Options) -> None:
    hook = _CountSteps()
    result = run(options(), hooks=[hook])
    assert result is not None
    assert (hook.steps, result.global_step, result.last_step) == (2, 2, 2)
    again = run(options(), hooks=[hook])
    assert again is not None
    assert hook.begun == 1
    assert (hook.steps, again.global_step, again.checkpoint) == (2, 2, result.checkpoint)
    assert not tf.get_default_graph().get_operations()


def test_a_dry_run_trains_nothing_and_writes_nothing(options: Options) -> None:
    dry = options(dry_run=True)
    hook = _CountSteps()
    assert run(dry, hooks=[hook]) is None
    assert hook.steps == 0
    assert not list(tf.io.gfile.glob(f"{dry.loop.train_dir}/*"))


def test_what_is_no_hook_is_refused_before_anything_is_done(options: Options) -> None:
    with pytest.raises(UsageError, match="not int"):
        run(options(), hooks=[3])


@pytest.mark.parametrize("role", ["ps", "evaluator"])
def test_a_dry_run_of_a_task_that_does_not_train_ends_at_once(
    role: str, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = {"chief": ["127.0.0.1:1"], "ps": ["127.0.0.1:2"], "evaluator": ["127.0.0.1:3"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": role, "index": 0}}))
    assert run(options(dry_run=True)) is None


def test_the_result_is_written_before_a_tracking_server_is_waited_for(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(mlflow_uri="http://host")
    folder = Path(given.loop.train_dir)
    seen: list[tuple[Any, ...]] = []

    class Tracker:
        def __init__(self, *arguments: Any) -> None:
            pass

        def start(self) -> None:
            pass

        def add(self, step: int, values: dict[str, float]) -> None:
            seen.append((step, sorted(values)))

        def close(self, status: str) -> None:
            seen.append((status, (folder / "result.json").is_file(), (folder / "report.html").is_file()))

    for module in (of_task, prepare):
        monkeypatch.setattr(module, "mlflow_client", lambda uri: None)
    monkeypatch.setattr(of_task, "MlflowRun", Tracker)
    run(given)
    assert seen[-2] == (2, ["final/images_per_second", "final/loss"])
    assert seen[-1] == ("FINISHED", True, True)
