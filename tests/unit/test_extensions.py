"""Losses, optimizers and augmentations of one's own, by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import slim_train as st
from slim_train import config
from slim_train.cli import train_image_classifier
from slim_train.errors import UsageError
from slim_train.extensions import augmentation_digest, check_names, load
from slim_train.training_options import TrainOptions


def loss(logits: Any, labels: Any, weights: Any) -> Any:
    return logits


def options(**flags: Any) -> TrainOptions:
    return config.with_values(TrainOptions(), flags)


def test_registering_needs_no_tensorflow() -> None:
    register = "import slim_train, sys; slim_train.register_loss('mine', lambda a, b, c: a)"
    code = f"{register}; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_functions_are_decorators_too() -> None:
    decorated = st.register_loss("decorated")(loss)
    assert decorated is loss
    check_names(options(loss="decorated"))


def test_a_decorator_without_a_name_says_what_is_missing() -> None:
    with pytest.raises(UsageError, match="register_loss takes a name first"):
        st.register_loss(loss)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("register", "function", "words"),
    [
        (
            st.register_loss,
            lambda logits, labels: logits,
            r"must take \(logits, labels, weights\): too many",
        ),
        (st.register_loss, lambda logits, labels, weights, gamma: logits, "missing a required argument: 'gamma'"),
        (st.register_loss, "softmax", "must be a function of .*, not str"),
        (st.register_optimizer, lambda: None, r"must take \(learning_rate\)"),
        (st.register_optimizer, lambda rate, momentum: None, "missing a required argument: 'momentum'"),
        (st.register_augmentation, lambda images: images, r"must take \(images, seed\)"),
    ],
)
def test_a_function_of_other_arguments_is_refused(register: Any, function: Any, words: str) -> None:
    with pytest.raises(UsageError, match=f"'mine' .*{words}"):
        register("mine", function)


@pytest.mark.parametrize("name", ["", "my loss", "a,b", "-x", "loss/of/mine"])
def test_a_name_that_a_flag_cannot_take_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="needs another name"):
        st.register_loss(name, loss)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"loss": "softmx"}, "Unknown loss 'softmx'. Did you mean softmax"),
        ({"optimizer": "adamm"}, "Unknown optimizer 'adamm'. Did you mean adam"),
        ({"augmentation": "face"}, "Unknown augmentation 'face'. Did you mean faces"),
    ],
)
def test_unknown_names_are_refused_before_the_data_set_is_opened(
    flags: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [f"--dataset_dir={tmp_path}/none", *(f"--{name}={value}" for name, value in flags.items())]
    assert train_image_classifier.COMMAND.main(argv) == 2
    assert words in capsys.readouterr().err
    with pytest.raises(UsageError, match=words):
        st.train(tmp_path / "none", tmp_path, **flags)


def test_settings_of_randaugment_are_names() -> None:
    check_names(options(augmentation="rand-m5"))
    load(options(augmentation="rand-m5"))


def test_what_is_not_slim_trains_is_logged_with_its_origin(caplog: pytest.LogCaptureFixture) -> None:
    st.register_loss("logged", loss)
    with caplog.at_level("INFO"):
        load(options(loss="logged"))
    assert caplog.messages == [f"The loss logged is from {__file__}."]


def test_slim_trains_augmentations_have_no_digest_of_their_own() -> None:
    assert augmentation_digest("faces") is augmentation_digest("rand-m5") is None
    st.register_augmentation("digested", lambda images, seed: images)
    assert augmentation_digest("digested")
