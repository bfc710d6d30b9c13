"""Trainings on records whose labels are class names, without a labels.txt."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets.errors import DataError
from datasets.tfrecords import write_records
from slim_train.errors import UsageError
from slim_train.evaluation import evaluate
from slim_train.evaluation.options import EvalOptions
from slim_train.tf_compat import tf
from slim_train.training import evaluator
from slim_train.training.dataset_and_model import open_dataset, open_validation_set
from slim_train.training.train import run
from slim_train.training_options import TrainOptions

_SHADES = {"dark": 20, "gray": 128, "light": 235}


def _record(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((28, 28), _SHADES[name], np.uint8)).save(buffer, "PNG")
    values = {"image": buffer.getvalue(), "text": name.encode()}
    features = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _write(path: Path, names: Sequence[str]) -> None:
    write_records(path, [_record(name) for name in names])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Shades of train and test; dark, the first class, is missing from test."""
    folder = tmp_path / "records"
    folder.mkdir()
    _write(folder / "shades.train", [*_SHADES] * 4)
    _write(folder / "shades.test", ["gray", "light", "light"])
    return folder


@pytest.fixture
def flags(folder: Path) -> dict[str, Any]:
    return {"dataset_dir": str(folder), "file_pattern": "shades.%s"}


def test_the_split_that_checks_a_training_numbers_the_classes_as_it_does(
    options: Callable[..., TrainOptions], flags: dict[str, Any]
) -> None:
    chosen = options(**flags, eval_split_name="test")
    dataset = open_dataset(chosen)
    validation_set = open_validation_set(chosen, dataset)
    assert validation_set is not None
    assert dataset.labels == validation_set.labels == ("dark", "gray", "light")
    assert validation_set.class_counts == (0, 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [None, "shades.test", "alone*"], ids=["as in training", "without %s", "another"])
def test_an_evaluation_numbers_the_classes_as_the_training_did(
    options: Callable[..., TrainOptions], flags: dict[str, Any], folder: Path, pattern: str | None
) -> None:
    trained = run(options(**flags)).folder
    _write(folder / "alone", ["light"] * 3)
    report = evaluate.run(EvalOptions(checkpoint_path=str(trained), file_pattern=pattern))
    counts = (0, 0, 3) if pattern == "alone*" else (0, 1, 2)
    assert (report.labels, tuple(report.confusion_matrix.sum(axis=1))) == (("dark", "gray", "light"), counts)


@pytest.mark.slow
def test_the_evaluator_of_a_training_takes_the_pattern_from_its_folder(
    options: Callable[..., TrainOptions], flags: dict[str, Any]
) -> None:
    trained = run(options(**flags)).folder
    evaluator.follow(options(**flags, eval_split_name="test"))
    assert (trained / "eval_test" / "eval_test.json").is_file()


def test_a_training_does_not_go_on_with_classes_that_have_other_numbers(
    options: Callable[..., TrainOptions], flags: dict[str, Any], folder: Path
) -> None:
    run(options(**flags))
    _write(folder / "shades.train", ["dark", "gray", "light"])
    (folder / "labels.txt").write_text("light\ngray\ndark\n")
    with pytest.raises(UsageError, match="label 0 is 'dark' in its labels.txt and 'light' in the data set's"):
        run(options(**flags, max_number_of_steps=3))


@pytest.mark.slow
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_two_splits_that_share_a_file_are_refused(
    options: Callable[..., TrainOptions], flags: dict[str, Any], folder: Path, link: Callable[..., None]
) -> None:
    (folder / "shades.test").unlink()
    link(folder / "shades.train", folder / "shades.test")
    chosen = options(**flags, eval_split_name="test")
    shared = r"The splits .* and .* share the record file .*shades\..*, also called .*shades\."
    with pytest.raises(DataError, match=shared):
        open_validation_set(chosen, open_dataset(chosen))
    trained = run(options(**flags)).folder
    with pytest.raises(DataError, match=shared):
        evaluate.run(EvalOptions(checkpoint_path=str(trained)))


@pytest.mark.slow
def test_a_pattern_that_names_the_files_trained_on_cannot_evaluate_another_split(
    options: Callable[..., TrainOptions], flags: dict[str, Any]
) -> None:
    trained = run(options(**{**flags, "file_pattern": "*.train"})).folder
    with pytest.raises(DataError, match=r"The splits test and train share the record file .*shades\.train: "):
        evaluate.run(EvalOptions(checkpoint_path=str(trained), file_pattern="shades.*"))
    report = evaluate.run(EvalOptions(checkpoint_path=str(trained), file_pattern="*.train", dataset_split_name="train"))
    assert report.images == 12
