"""Training with --mlflow_uri, on a real server on the loopback device."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slim_train as st
from slim_train.training.mlflow_run import MlflowRun, mlflow_client

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of ``mlflow server`` with its files in a temporary folder."""
    pytest.importorskip("mlflow.server", reason="MLflow's server is missing: pip install mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/db", "--artifacts-destination", str(folder / "artifacts")),
    ]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        uri = f"http://127.0.0.1:{port}"
        try:
            _wait_for(uri, process, folder / "log")
            yield uri
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def _wait_for(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(log.read_text())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of plain images as records."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("data")
    for name, color in (("dark", 30), ("light", 220)):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (32, 32), (color + number,) * 3).save(folder / "images" / name / f"{number}.png")
    st.convert(folder / "images", folder / "records", num_workers=1)
    return folder / "records"


FLAGS: dict[str, Any] = {"model_name": "lenet", "batch_size": 4, "log_every_n_steps": 2, "learning_rate": 0.001}


def test_a_run_has_the_scalars_the_flags_and_the_final_figures_and_is_gone_on_with(
    server: str, data: Path, tmp_path: Path
) -> None:
    validation = {"eval_split_name": "test", "eval_every_n_steps": 4}
    client = mlflow_client(server)
    results = []
    for steps in (8, 12):
        flags = {**FLAGS, **validation, "max_number_of_steps": steps, "mlflow_uri": server, "mlflow_experiment": "try"}
        results.append(st.train(data, tmp_path / "run", **flags))
    experiment = client.get_experiment_by_name("try")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "run"
    assert run.info.status == "FINISHED"
    assert run.data.params["model_name"] == "lenet"
    assert run.data.params["batch_size"] == "4"
    assert not [name for name in run.data.params if "mlflow" in name]
    for name, key in (("train/loss", "loss"), ("eval/accuracy", "eval_accuracy")):
        sent = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, name)}
        assert sent == pytest.approx({line["step"]: line[key] for line in results[-1].history if key in line})
    assert run.data.metrics["best/accuracy"] == pytest.approx(results[-1].best_accuracy)
    assert run.data.metrics["final/loss"] == pytest.approx(results[-1].loss)


def test_a_training_that_fails_is_marked(server: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(st.RunError, match="diverged"):
        st.train(
            data, tmp_path / "bad", mlflow_uri=server, mlflow_experiment="bad", max_number_of_steps=50,
            **{**FLAGS, "learning_rate": 1e30, "optimizer": "sgd"},
        )  # fmt: skip
    client = mlflow_client(server)
    (run,) = client.search_runs([client.get_experiment_by_name("bad").experiment_id])
    assert run.info.status == "FAILED"


def test_a_server_that_is_not_there_costs_one_warning(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is missing: pip install mlflow-skinny")
    result = st.train(data, tmp_path / "run", mlflow_uri="http://me:secret@127.0.0.1:9", max_number_of_steps=6, **FLAGS)
    assert result.global_step == 6
    said = [record.getMessage() for record in caplog.records if "MLflow" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("Training goes on without MLflow at http://127.0.0.1:9 until it answers:")
    assert "secret" not in said[0]


def test_what_a_server_missed_is_sent_when_it_answers(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slim_train.training.mlflow_run._RETRY_SECS", 0.1)
    client = mlflow_client(server)
    log_batch, failures = client.log_batch, iter([ConnectionError("gone")] * 2)

    def unsteady(*args: Any, **kwargs: Any) -> None:
        if error := next(failures, None):
            raise error
        log_batch(*args, **kwargs)

    client.log_batch = unsteady
    run = MlflowRun(client, server, "unsteady", tmp_path, {}, {})
    run.start()
    for step in range(3):
        run.add(step, {"train/loss": 1.0})
        time.sleep(1.1)
    run.close("FINISHED")
    (found,) = client.search_runs([client.get_experiment_by_name("unsteady").experiment_id])
    assert len(client.get_metric_history(found.info.run_id, "train/loss")) == 3
