from __future__ import annotations

import resource
from pathlib import Path

import pytest

from datasets.spec import write_labels
from slim_train import config
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.find import latest_checkpoint
from slim_train.checkpoints.training_folder import set_aside
from slim_train.errors import UsageError
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


def test_a_training_from_before_scaled_decoding_decoded_all_pixels(tmp_path: Path) -> None:
    path = tmp_path / training_folder.CONFIG
    config.write_yaml(path, _options())
    assert training_folder.read_options(tmp_path).model.scaled_decoding == "auto"
    path.write_text(path.read_text().replace("scaled_decoding: auto\n", ""))
    assert training_folder.read_options(tmp_path).model.scaled_decoding == "never"
    assert training_folder.describe_changes(tmp_path, _options()) == ""


def test_setting_aside_moves_everything_old_and_loses_nothing(tmp_path, save):
    save(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    (tmp_path / "notes.txt").write_text("mine\n")
    aside = set_aside(tmp_path)
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(aside) == str(aside / "model.ckpt-7")
    assert (aside / "metrics.jsonl").exists()
    assert (tmp_path / "notes.txt").exists()
    assert set_aside(tmp_path) is None


def test_setting_aside_takes_the_next_free_name(tmp_path, save):
    save(tmp_path)
    (tmp_path / "previous-1").mkdir()
    assert set_aside(tmp_path) == tmp_path / "previous-2"


@pytest.mark.parametrize(("name", "moves"), [("model.ckpt-7", True), ("best/model.ckpt-3", True), ("mine.ckpt", False)])
def test_whether_setting_aside_would_move_a_checkpoint_is_known_before(tmp_path, name, moves):
    assert training_folder.is_set_aside(tmp_path, str(tmp_path / name)) == moves
    assert not training_folder.is_set_aside(tmp_path / "other", str(tmp_path / name))


def test_a_line_of_metrics_that_a_kill_cut_off_is_passed_over(tmp_path):
    training_folder.add_metrics(tmp_path, {"step": 1, "loss": 0.5})
    with (tmp_path / training_folder.METRICS).open("a") as file:
        file.write('{"step": 2, "lo')
    assert training_folder.read_metrics(tmp_path) == [{"step": 1, "loss": 0.5}]
    assert training_folder.read_metrics(tmp_path / "empty") == []


def test_checkpoints_that_cannot_be_moved_are_an_error_of_the_flag(tmp_path, save, monkeypatch):
    save(tmp_path)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training_folder.Path, "rename", full)
    with pytest.raises(UsageError, match="--restart: cannot move .*No space left"):
        set_aside(tmp_path)


def test_classes_that_had_only_numbers_may_get_names(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.txt", ["0", "1"])
    training_folder.check_labels(tmp_path, ["cat", "dog"])
    with pytest.raises(UsageError, match="label 0 is '0' in its labels.txt and 'cat' in the data set's"):
        training_folder.check_labels(tmp_path, ["cat", "dog", "emu"])


def test_a_line_of_metrics_that_does_not_fit_on_the_disk_leaves_no_part(tmp_path):
    training_folder.add_metrics(tmp_path, {"step": 1})
    before = (tmp_path / "metrics.jsonl").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            training_folder.add_metrics(tmp_path, {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    training_folder.add_metrics(tmp_path, {"step": 3})
    assert [line["step"] for line in training_folder.read_metrics(tmp_path)] == [1, 3]


@pytest.mark.parametrize("text", ["{damaged", "[" * 100_000, "\udcff", "[1]"])
def test_a_json_file_that_is_damaged_or_no_object_is_empty(tmp_path, text):
    path = tmp_path / "result.json"
    assert training_folder.read_json(path) == {}
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert training_folder.read_json(path) == {}
    training_folder.write_json(path, {"global_step": 7})
    assert training_folder.read_json(path) == {"global_step": 7}


def test_a_json_file_that_is_far_too_large_is_not_read_and_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(training_folder, "_MOST_BYTES_OF_JSON", 1 << 20)
    with (tmp_path / "eval_test.json").open("wb") as file:
        file.truncate((1 << 20) + 1)
    assert training_folder.read_json(tmp_path / "eval_test.json") == {}
    assert "is larger than 1 MB, and is ignored" in caplog.text
