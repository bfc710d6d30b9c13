from __future__ import annotations

from pathlib import Path

from slim_train import config
from slim_train.checkpoints import training_folder
from slim_train.training_options import TrainOptions


def _options(**flags: object) -> TrainOptions:
    return config.with_values(TrainOptions(), flags)


def test_flags_of_the_variables_that_were_changed_are_said_with_both_values(tmp_path: Path) -> None:
    trained = _options(optimizer="adam", trainable_scopes="lenet/fc4", learning_rate=0.1)
    config.write_yaml(tmp_path / training_folder.CONFIG, trained)
    assert training_folder.describe_changes(tmp_path, _options(learning_rate=0.2)) == (
        "It was trained with --optimizer=adam --trainable_scopes=lenet/fc4, which is "
        "--optimizer=rmsprop --trainable_scopes= now."
    )


def test_where_no_such_flag_was_changed_nothing_is_said(tmp_path: Path) -> None:
    config.write_yaml(tmp_path / training_folder.CONFIG, _options(learning_rate=0.1))
    assert training_folder.describe_changes(tmp_path, _options(learning_rate=0.2)) == ""
    assert training_folder.describe_changes(tmp_path / "elsewhere", _options()) == ""
