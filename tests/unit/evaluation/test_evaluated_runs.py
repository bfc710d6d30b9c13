from __future__ import annotations

import json
from pathlib import Path

import pytest

from slim_train.errors import UsageError
from slim_train.evaluation.evaluated_runs import find_runs


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Training folders one and two, with the evaluation of a test split, and one of a validation split."""
    for name, splits in (("one", ["test"]), ("two", ["test", "validation"])):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text("model_name: lenet\n")
        (folder / "metrics.jsonl").write_text('{"step": 5, "loss": 1.5}\n{"st')
        for split in splits:
            (folder / f"eval_{split}").mkdir()
            (folder / f"eval_{split}" / f"predictions_{split}.csv").write_text("")
            figures = {"global_step": 7, "loss": 0.5, "top_5_accuracy": 1.0, "checkpoint": str(folder / "model.ckpt-7")}
            (folder / f"eval_{split}" / f"eval_{split}.json").write_text(json.dumps(figures))
    return tmp_path


def test_training_folders_evaluations_and_files_are_found_with_net_step_and_history(models: Path) -> None:
    for path in ("one", "one/eval_test", "one/eval_test/predictions_test.csv"):
        run, _ = find_runs([str(models / path), str(models / "two/eval_test")])
        assert (run.net, run.step, run.loss, run.top_5_accuracy, run.split) == ("lenet", 7, 0.5, 1.0, "test")
        assert run.history == ({"step": 5, "loss": 1.5},)


def test_names_are_as_short_as_they_can_be(models: Path) -> None:
    assert [run.name for run in find_runs([str(models / "one"), str(models / "two")], "test")] == ["one", "two"]
    paths = [str(models / "one/eval_test"), str(models / "two/eval_test")]
    assert [run.name for run in find_runs(paths)] == ["one/eval_test", "two/eval_test"]
    assert len({run.name for run in find_runs([paths[0], paths[0]])}) == 2


def test_a_damaged_json_costs_its_figures_only(models: Path) -> None:
    (models / "one/eval_test/eval_test.json").write_text("{")
    run, _ = find_runs([str(models / "one"), str(models / "one")])
    assert (run.net, run.step) == ("lenet", None)


@pytest.mark.parametrize(
    ("path", "split", "message"),
    [
        ("gone", None, "gone does not exist"),
        ("", None, r"holds no predictions: run eval_image_classifier"),
        ("one", "validation", "holds no predictions of the split validation"),
        (
            "two",
            None,
            "eval_test/predictions_test.csv, eval_validation/predictions_validation.csv: choose with --split",
        ),
    ],
)
def test_a_path_without_one_evaluation_is_refused(models: Path, path: str, split: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_runs([str(models / path), str(models / "one")], split)
