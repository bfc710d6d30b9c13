"""The temperature of an export, from an evaluation of the same checkpoint."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train import config
from slim_train.errors import UsageError
from slim_train.exporting import run
from slim_train.exporting.calibrate import calibrated
from slim_train.exporting.check import Reference
from slim_train.exporting.options import ExportOptions
from slim_train.inference.export_info import read_export_info
from slim_train.inference.predictor import load_predictor
from slim_train.inference.trained_model import find_trained_model, logits_identity


@pytest.fixture
def folder(training_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(training_folder, tmp_path / "flowers")


def write_evaluation(folder: Path, split: str = "validation", temperature: float | None = 2.5, **changes: Any) -> None:
    trained = find_trained_model(folder)
    values = {
        "split": split,
        "global_step": 7,
        "eval_flip": False,
        "evaluated": logits_identity(trained.spec, trained.checkpoint, None),
        "calibration": {"temperature": None if temperature is None else {"value": temperature}},
    }
    (folder / f"eval_{split}").mkdir()
    (folder / f"eval_{split}" / f"eval_{split}.json").write_text(json.dumps(values | changes))


@pytest.mark.slow
def test_exported_scores_are_those_of_the_logits_divided_by_the_temperature(
    folder: Path, photo: Callable[..., bytes], tmp_path: Path
) -> None:
    write_evaluation(folder)
    flags = {"checkpoint_path": str(folder), "calibrate": True, "num_check_images": 4, "formats": "frozen"}
    report = run.run(config.with_values(ExportOptions(), {**flags, "export_dir": str(tmp_path / "out")}))
    assert report.files[0].difference is not None
    assert report.files[0].difference.largest < 1e-5
    info = read_export_info(tmp_path / "out" / "model.json")
    assert info is not None
    assert info.temperature == 2.5
    images = [photo(seed=seed) for seed in range(3)]
    plain = load_predictor(folder).predict(images) ** (1 / 2.5)
    exported = load_predictor(tmp_path / "out" / "model.pb").predict(images)
    np.testing.assert_allclose(exported, plain / plain.sum(axis=1, keepdims=True), atol=1e-5)


def test_the_check_finds_a_temperature_that_did_not_reach_the_graph(folder: Path, photo: Callable[..., bytes]) -> None:
    plain, images = find_trained_model(folder), [photo()]
    told = dataclasses.replace(plain, temperature=2.5)
    reference = Reference(plain, images)
    assert np.abs(reference.scores - Reference(told, images).scores).max() > 0.01
    assert "scores_of_whole" not in vars(reference)  # until a format that takes bytes is compared


def test_the_validation_split_comes_before_the_test_split(folder: Path) -> None:
    write_evaluation(folder, "test", 3.0)
    write_evaluation(folder, "validation", 2.0)
    assert calibrated(find_trained_model(folder)).temperature == 2.0


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        (None, "holds no evaluation. Run eval_image_classifier --checkpoint_path=.* --noeval_flip first"),
        ({"evaluated": {}}, r"no evaluation .* is of .*model.ckpt-7 as it is exported \(validation of step 7\)"),
        ({"eval_flip": True}, "averages each image and its mirror image"),
        ({"temperature": None}, "the evaluation of validation gives no temperature"),
        ({"temperature": -1.0}, "the evaluation of validation gives no temperature"),
        ({"split": "train"}, "of the images trained on"),
    ],
    ids=["none", "another checkpoint", "flipped", "no temperature", "damaged", "training split"],
)
def test_without_an_evaluation_that_fits_it_says_which_one_to_make(
    folder: Path, evaluation: dict[str, Any] | None, message: str
) -> None:
    if evaluation is not None:
        write_evaluation(folder, **evaluation)
    with pytest.raises(UsageError, match=message):
        calibrated(find_trained_model(folder))


def test_a_damaged_file_is_no_evaluation(folder: Path) -> None:
    (folder / "eval_test").mkdir()
    (folder / "eval_test" / "eval_test.json").write_text('{"split": "te')
    with pytest.raises(UsageError, match="holds no evaluation"):
        calibrated(find_trained_model(folder))
