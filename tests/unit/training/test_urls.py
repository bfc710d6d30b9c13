"""A training whose data and folder are at URLs, on the file systems in memory of TensorFlow and of fsspec."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets.storage import copy_file, path_of
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.contents import read_contents
from slim_train.evaluation import evaluate
from slim_train.evaluation.evaluate import evaluate_to_folder
from slim_train.evaluation.options import EvalOptions
from slim_train.exporting import run as exporting
from slim_train.exporting.options import CheckOptions, ExportOptions, ResultOptions, SourceOptions
from slim_train.inference.predictor import load_predictor
from slim_train.training import train
from slim_train.training_options import TrainOptions

TRAIN_DIR = "ram://urls/run"


@pytest.fixture(params=["ram", pytest.param("memory", marks=pytest.mark.slow)])
def scheme(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        pytest.importorskip("fsspec")
    return str(request.param)


@pytest.fixture
def records(dataset_dir: Path, scheme: str) -> str:
    """The records at a URL."""
    url = path_of(f"{scheme}://urls/records")
    for file in dataset_dir.iterdir():
        copy_file(file, url / file.name)
    return str(url)


@pytest.mark.slow
def test_a_url_is_trained_on_resumed_evaluated_and_exported(
    records: str, scheme: str, options: Callable[..., TrainOptions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train_dir = f"{scheme}://urls/run"
    flags = {"dataset_dir": records, "train_dir": train_dir, "eval_split_name": "test", "log_every_n_steps": 1}
    train.run(options(**flags))
    result = train.run(options(**flags, max_number_of_steps=3))

    assert result is not None
    assert (result.global_step, result.own_steps) == (3, 1)
    assert result.checkpoint == f"{train_dir}/model.ckpt-3"
    assert [line["step"] for line in result.history if "loss" in line] == [1, 2, 3]
    assert str(result.best_checkpoint).startswith(f"{train_dir}/best/model.ckpt-")
    folder = path_of(train_dir)
    assert training_folder.read_options(folder) is not None
    assert training_folder.trained_labels(folder) == ("dark", "light")
    assert any(path.name.startswith("events.out.tfevents") for path in folder.iterdir())
    assert not [path for path in folder.iterdir() if "tmp" in path.name]

    with monkeypatch.context() as patch:
        tries: list[str] = []

        def fails_once(evaluator: Any, checkpoint: str, *others: Any) -> Any:
            tries.append(checkpoint)
            if len(tries) == 1:
                raise OSError(errno.EIO, "the store is away", checkpoint)
            return evaluate_to_folder(evaluator, checkpoint, *others)

        patch.setattr(evaluate, "evaluate_to_folder", fails_once)
        report = evaluate.run(EvalOptions(checkpoint_path=train_dir, eval_interval_secs=1))
    assert tries == [f"{train_dir}/model.ckpt-3"] * 2
    assert (report.step, report.images) == (3, 6)
    assert (folder / "eval_test" / "eval_test.json").is_file()
    assert len((folder / "eval_test" / "predictions_test.csv").read_text().splitlines()) == 7

    assert read_contents(f"{train_dir}/model.ckpt-3").step == 3

    exported = exporting.run(
        ExportOptions(
            source=SourceOptions(checkpoint_path=train_dir),
            result=ResultOptions(formats="saved_model,frozen"),
            check=CheckOptions(num_check_images=2),
        )
    )
    assert all((path_of(f"{train_dir}/export") / file.path).exists() for file in exported.files)
    assert (folder / "export" / "saved_model" / "3" / "saved_model.pb").is_file()
    exported_model = f"{train_dir}/export/saved_model"
    with load_predictor(exported_model) as predictor:
        assert predictor.labels == ("dark", "light")
    assert not list(tmp_path.iterdir())


def test_a_restart_puts_what_is_at_the_url_aside(scheme: str) -> None:
    folder = path_of(f"{scheme}://urls/again")
    (folder / "best").mkdir()
    for name in ("checkpoint", "model.ckpt-9.index", "best/best.json"):
        (folder / name).write_text(name)
    assert training_folder.set_aside(folder) == folder / "previous-1"
    assert (folder / "previous-1" / "best" / "best.json").read_text() == "best/best.json"
    assert [path.name for path in folder.iterdir()] == ["previous-1"]


@pytest.mark.slow
def test_features_are_cached_at_a_url_and_used_again(
    records: str, scheme: str, options: Callable[..., TrainOptions], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    trained = train.run(options(train_dir=f"{scheme}://urls/trunk"))
    assert trained is not None
    flags = {
        "dataset_dir": records, "cache_features": True, "trainable_scopes": "auto", "checkpoint_exclude_scopes": "auto",
        "checkpoint_path": trained.checkpoint, "feature_cache_dir": f"{scheme}://urls/features", "seed": 1,
    }  # fmt: skip
    first = train.run(options(**flags, train_dir=f"{scheme}://urls/first"))
    (file,) = path_of(f"{scheme}://urls/features").iterdir()
    assert re.search(f"Features to compute, once: .* in {file}", caplog.text)
    caplog.clear()
    second = train.run(options(**flags, train_dir=f"{scheme}://urls/second"))
    assert re.search(f"Cached features used: .* in {file}", caplog.text)
    assert first is not None
    assert second is not None
    assert [line["loss"] for line in second.history] == pytest.approx([line["loss"] for line in first.history])
