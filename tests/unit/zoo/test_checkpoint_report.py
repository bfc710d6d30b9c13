"""The report on a checkpoint as text and JSON, and the command that prints it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from slim_train.cli.inspect_checkpoint import COMMAND
from slim_train.nets.factory import get_record
from slim_train.nets.network_fn import network_fn_of
from slim_train.tf_compat import tf
from slim_train.zoo.checkpoint_report import inspect


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint of lenet for 5 classes, trained for 12 steps; one of its biases is NaN."""
    folder = tmp_path_factory.mktemp("lenet")
    with tf.Graph().as_default(), tf.Session() as session:
        network_fn_of(get_record("lenet"), 5)(tf.placeholder(tf.float32, [1, 28, 28, 1]))
        tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        (biases,) = (variable for variable in tf.global_variables() if variable.op.name == "LeNet/conv1/biases")
        biases.load(np.array([np.nan] + [0] * 31, np.float32), session)
        session.run(tf.assign(tf.train.get_global_step(), 12))
        tf.train.Saver().save(session, str(folder / "model.ckpt-12"))
    return folder


def test_the_text_says_what_it_is_and_how_to_use_it(lenet: Path) -> None:
    text = inspect(str(lenet)).text(with_variables=True)
    assert text.splitlines()[0] == f"{lenet}/model.ckpt-12: lenet, 5 classes"
    for line in (
        "  classes           5",
        "  image size        28x28",
        "  global step       12",
        "  NaN or infinite   1 values in LeNet/conv1/biases",
        f"  label_image --checkpoint_path={lenet}/model.ckpt-12 \\",
    ):
        assert line in text.splitlines()
    assert "LeNet/conv1/weights  float32   5x5x1x32" in text


def test_the_training_command_has_the_input_of_released_weights_and_the_file_of_the_net(lenet: Path) -> None:
    report = inspect(str(lenet))
    record = dataclasses.replace(
        report.match.record,
        num_classes=5,
        checkpoint_preprocessing="cifarnet",
        checkpoint_image_size=32,
        files=("code/mine.py",),
    )
    text = dataclasses.replace(report, match=dataclasses.replace(report.match, record=record)).text()
    assert "    --model_file=code/mine.py --preprocessing_name=cifarnet --train_image_size=32 --dataset_dir=DIR" in text
    assert "label_image" not in text  # it takes a net of a file only with its training folder


def test_the_command_prints_json_and_fails_on_values_that_are_not_finite(
    lenet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert COMMAND.main([str(lenet), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["net"], report["fits"], report["num_classes"], report["global_step"]) == ("lenet", True, 5, 12)
    assert report["not_finite"] == {"LeNet/conv1/biases": 1}
    assert {"name": "global_step", "shape": [], "dtype": "int64", "kind": "other"} in report["variables"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "inspect_checkpoint takes one checkpoint: inspect_checkpoint PATH."),
        (["a", "b"], "takes one checkpoint, got a and b"),
        (["absent/model.ckpt"], "The checkpoint absent/model.ckpt does not exist"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND.main(words) == 2
    assert message in capsys.readouterr().err
