"""What sends to MLflow, without a server; tests/integration/test_mlflow.py has one."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slim_train.errors import UsageError
from slim_train.training import mlflow_run
from slim_train.training.mlflow_run import MlflowRun, mlflow_client, without_password


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        ("https://me:p@ss@host/path", "https://host/path"),
        ("sqlite:///runs.db", "sqlite:///runs.db"),
    ],
)
def test_messages_hold_no_password(uri: str, shown: str) -> None:
    assert without_password(f"{uri} failed: {uri}", uri) == f"{shown} failed: {shown}"


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is not None, reason="MLflow is installed")
def test_a_missing_package_is_named() -> None:
    with pytest.raises(UsageError, match=r"--mlflow_uri requires MLflow .*: pip install 'slim-train\[mlflow\]'"):
        mlflow_client("http://127.0.0.1:9")


def test_a_client_that_always_fails_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def get_experiment_by_name(self, name: str) -> Any:
            raise OSError(f"no way to http://me:secret@host for {name}")

    run = MlflowRun(Failing(), "http://me:secret@host", "mine", tmp_path, {"batch_size": 4}, {})
    run.start()
    run.start()
    run.add(1, {"train/loss": 0.5})
    run.close("FAILED")
    assert [record.getMessage() for record in caplog.records] == [
        "Training goes on without MLflow at http://host until it answers: no way to http://host for mine"
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_never_started_is_closed_without_waiting(tmp_path: Path) -> None:
    MlflowRun(None, "http://host", "mine", tmp_path, {}, {}).close("FAILED")


class _Client:
    """Answers like MLflow's client, except that its first batch of parameters fails."""

    def __init__(self) -> None:
        self.runs, self.params, self.failures = 0, [], 1

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="1")

    def create_run(self, experiment_id: str, **_: Any) -> Any:
        self.runs += 1
        return SimpleNamespace(info=SimpleNamespace(run_id=f"run{self.runs}"))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        if params and self.failures:
            self.failures -= 1
            raise OSError("busy")
        self.params += params

    def update_run(self, run_id: str, status: str) -> None:
        pass

    def set_terminated(self, run_id: str, status: str) -> None:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("folder_is_there", [True, False])
def test_parameters_that_failed_are_sent_again_to_the_same_run(
    folder_is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_run, "_RETRY_SECS", 0.0)
    monkeypatch.setattr(mlflow_run, "_param", lambda *entry: entry)
    monkeypatch.setattr(mlflow_run, "_metric", lambda *entry: entry)
    client, folder = _Client(), tmp_path if folder_is_there else tmp_path / "gone"
    run = MlflowRun(client, "http://host", "mine", folder, {"batch_size": 4}, {})
    run.start()
    deadline = time.monotonic() + 20
    while not client.params and time.monotonic() < deadline:
        time.sleep(0.05)
    run.close("FINISHED")
    assert (client.runs, client.params) == (1, [("batch_size", "4")])
