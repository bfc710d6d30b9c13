"""train_image_classifier and eval_image_classifier, as users run them, on a small real data set."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import slim_train as st
from datasets.tfrecords import scan_records, write_records
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.best import BestCheckpoint
from slim_train.checkpoints.find import latest_checkpoint, step_of
from slim_train.cli import eval_image_classifier, train_image_classifier
from slim_train.tf_compat import tf

FAST = ("--model_name=lenet", "--batch_size=16", "--optimizer=momentum", "--learning_rate=0.001", "--clone_on_cpu")


def _train(dataset_dir, train_dir, *flags):
    argv = [f"--dataset_dir={dataset_dir}", f"--train_dir={train_dir}", "--log_every_n_steps=5", *FAST, *flags]
    return train_image_classifier.COMMAND.main(argv)


def _result(train_dir):
    return json.loads((Path(train_dir) / "result.json").read_text())


def _metrics(train_dir):
    return [json.loads(line) for line in (Path(train_dir) / "metrics.jsonl").read_text().splitlines()]


def _start(dataset_dir, train_dir, *flags):
    """A training process of its own, past its first log line."""
    command = [
        sys.executable, "-m", "slim_train.cli.train_image_classifier",
        f"--dataset_dir={dataset_dir}", f"--train_dir={train_dir}", "--log_every_n_steps=5", *FAST, *flags,
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": _root()})
    deadline = time.monotonic() + 120
    while not (Path(train_dir) / "metrics.jsonl").is_file() or not _metrics(train_dir):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process


def _root():
    return str(Path(__file__).resolve().parents[2])


@pytest.fixture(scope="module")
def trained_dir(shapes_dir, tmp_path_factory):
    """A training folder of 60 steps, validated on the way."""
    train_dir = tmp_path_factory.mktemp("trained")
    code = _train(
        shapes_dir, train_dir, "--max_number_of_steps=60", "--eval_split_name=test", "--eval_every_n_steps=20",
        "--moving_average_decay=0.9", "--seed=3",
    )  # fmt: skip
    assert code == 0
    return train_dir


def test_training_learns_and_leaves_a_folder_that_stands_alone(trained_dir, tmp_path, capsys):
    assert _result(trained_dir)["global_step"] == 60
    for name in ("config.yaml", "labels.txt", "info.json", "metrics.jsonl", "checkpoint", "model.ckpt-60.index"):
        assert (trained_dir / name).is_file(), name
    assert eval_image_classifier.COMMAND.main([f"--checkpoint_path={trained_dir}", f"--eval_dir={tmp_path}"]) == 0
    metrics = json.loads((tmp_path / "eval_test.json").read_text())
    assert metrics["images"] == 27
    assert metrics["accuracy"] > 0.9


def test_metrics_hold_every_log_step_and_the_evaluations(trained_dir):
    lines = _metrics(trained_dir)
    assert [line["step"] for line in lines if "loss" in line] == list(range(5, 61, 5))
    assert [line["step"] for line in lines if "eval_accuracy" in line] == [20, 40, 60]
    assert {"step", "loss", "learning_rate", "images_per_second"} <= lines[0].keys()


def test_the_best_checkpoint_lies_in_best_and_evaluates(trained_dir, tmp_path):
    best = BestCheckpoint(trained_dir)
    assert best.path is not None
    assert best.value == max(line["eval_accuracy"] for line in _metrics(trained_dir) if "eval_accuracy" in line)
    assert eval_image_classifier.COMMAND.main([f"--checkpoint_path={trained_dir}/best", f"--eval_dir={tmp_path}"]) == 0
    metrics = json.loads((tmp_path / "eval_test.json").read_text())
    assert metrics["accuracy"] == pytest.approx(best.value)
    assert sum(group["images"] for group in metrics["accuracy_by"]) == metrics["images"]
    assert {group["column"] for group in metrics["accuracy_by"]} == {"short_side"}


@pytest.mark.slow
def test_moving_averages_are_evaluated_unless_the_variables_are_asked_for(trained_dir, tmp_path):
    losses = {}
    for flag in ("--model_name=lenet", "--moving_average_decay=0.9", "--moving_average_decay=0"):
        argv = [f"--checkpoint_path={trained_dir}/best", flag, f"--eval_dir={tmp_path}"]
        assert eval_image_classifier.COMMAND.main(argv) == 0
        losses[flag] = json.loads((tmp_path / "eval_test.json").read_text())["loss"]
    default, averages, variables = losses.values()
    assert default == pytest.approx(averages, rel=1e-6)
    assert variables != pytest.approx(averages, rel=1e-3)


def test_training_resumes_at_its_step_and_says_so(shapes_dir, tmp_path, capsys):
    assert _train(shapes_dir, tmp_path, "--max_number_of_steps=10") == 0
    assert "RESUMING" not in capsys.readouterr().err
    assert _train(shapes_dir, tmp_path, "--max_number_of_steps=20") == 0
    assert "RESUMING from" in capsys.readouterr().err
    assert _result(tmp_path)["global_step"] == 20
    assert [line["step"] for line in _metrics(tmp_path)] == [5, 10, 15, 20]


def test_a_finished_training_has_nothing_to_do(shapes_dir, tmp_path):
    assert _train(shapes_dir, tmp_path, "--max_number_of_steps=10") == 0
    before = (tmp_path / "model.ckpt-10.index").stat().st_mtime_ns
    assert _train(shapes_dir, tmp_path, "--max_number_of_steps=10") == 0
    assert (tmp_path / "model.ckpt-10.index").stat().st_mtime_ns == before
    assert _result(tmp_path)["global_step"] == 10


def test_restart_begins_at_step_0_and_keeps_the_old_run(shapes_dir, tmp_path):
    assert _train(shapes_dir, tmp_path, "--max_number_of_steps=10") == 0
    assert _train(shapes_dir, tmp_path, "--max_number_of_steps=5", "--restart") == 0
    assert _result(tmp_path)["global_step"] == 5
    assert latest_checkpoint(tmp_path / "previous-1").endswith("model.ckpt-10")


def test_a_training_shorter_than_its_warm_up_says_so_and_logs_its_last_step(shapes_dir, tmp_path, capsys):
    assert _train(shapes_dir, tmp_path, "--max_number_of_steps=3", "--warmup_steps=500") == 0
    assert "--warmup_steps=500 is not shorter than the training, 3 steps" in capsys.readouterr().err
    assert [line["step"] for line in _metrics(tmp_path) if "loss" in line] == [3]


@pytest.mark.parametrize("flag", ["dataset_split_name", "eval_split_name"])
def test_a_split_that_is_not_there_is_told_with_its_flag_before_anything_is_measured(
    flag, shapes_dir, tmp_path, capsys
):
    assert _train(shapes_dir, tmp_path, "--max_number_of_steps=3", "--precision=auto", f"--{flag}=private") == 2
    said = capsys.readouterr().err
    assert f"Unknown --{flag} 'private'" in said
    assert "images/s" not in said


@pytest.mark.slow
def test_a_restart_forgets_the_best_of_the_run_before(shapes_dir, tmp_path):
    flags = ("--max_number_of_steps=5", "--eval_split_name=test")
    assert _train(shapes_dir, tmp_path, *flags) == 0
    record = tmp_path / "best" / "best.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "value": 2.0}))
    assert _train(shapes_dir, tmp_path, *flags, "--restart") == 0
    assert _result(tmp_path)["best_accuracy"] <= 1


@pytest.mark.parametrize("flag", ["--optimizer=adam", "--num_classes=5", "--model_name=cifarnet"])
def test_a_run_with_other_variables_cannot_resume_and_leaves_the_folder_as_it_was(
    shapes_dir, trained_dir, flag, capsys
):
    before = (trained_dir / "config.yaml").read_text()
    flags = ("--moving_average_decay=0.9", "--max_number_of_steps=80", flag)
    assert _train(shapes_dir, trained_dir, *flags) == 2
    assert re.search(f"Cannot resume.* It was trained with .*, which is .*{flag}.* now", capsys.readouterr().err)
    assert (trained_dir / "config.yaml").read_text() == before


def test_a_data_set_of_other_classes_is_refused(trained_dir, shapes_dir, tmp_path, capsys):
    for file in shapes_dir.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "labels.txt").write_text("0:square\n1:disc\n2:cross\n")
    info = json.loads((tmp_path / "info.json").read_text())
    for split in info["splits"].values():
        split["class_counts"] = {name: split["class_counts"][name] for name in ("square", "disc", "cross")}
    (tmp_path / "info.json").write_text(json.dumps(info))
    argv = [f"--checkpoint_path={trained_dir}", f"--dataset_dir={tmp_path}", f"--eval_dir={tmp_path}/eval"]
    assert eval_image_classifier.COMMAND.main(argv) == 2
    assert "label 0 is 'cross'" in capsys.readouterr().err


def test_records_that_are_missing_do_not_pass_for_a_whole_split(trained_dir, shapes_dir, tmp_path, capsys):
    for file in shapes_dir.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    info = (tmp_path / "info.json").read_text()
    (tmp_path / "info.json").write_text(info.replace("27", "36").replace('": 9', '": 12'))
    argv = [f"--checkpoint_path={trained_dir}", f"--dataset_dir={tmp_path}", f"--eval_dir={tmp_path}/eval"]
    assert eval_image_classifier.COMMAND.main(argv) == 1
    assert "holds 27 images" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_and_names_the_step(shapes_dir, tmp_path, capsys):
    assert _train(shapes_dir, tmp_path, "--learning_rate=1e30", "--max_number_of_steps=50") == 1
    error = capsys.readouterr().err
    assert "at step " in error
    assert "Traceback" not in error


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_saves_a_checkpoint_and_exits_cleanly(shapes_dir, tmp_path, number):
    process = _start(shapes_dir, tmp_path, "--max_number_of_steps=100000")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    result = _result(tmp_path)
    assert result["stopped_by"] == number.name
    assert step_of(result["checkpoint"]) == result["global_step"]
    assert "Traceback" not in errors


def test_a_dry_run_prints_the_plan_and_writes_nothing(shapes_dir, tmp_path, capsys):
    train_dir = tmp_path / "run"
    assert _train(shapes_dir, train_dir, "--dry_run", "--trainable_scopes=LeNet/fc4", "--num_epochs=2") == 0
    plan = capsys.readouterr().out
    for words in ("LeNet/conv1/weights", "LeNet/fc4/biases", "12,288", "stops at 8"):
        assert words in plan
    assert not train_dir.exists()


@pytest.mark.parametrize("head", ["LeNet/fc4", "auto"])
def test_fine_tuning_restores_the_trunk_and_trains_only_the_scope(trained_dir, shapes_dir, tmp_path, head):
    flags = (f"--checkpoint_exclude_scopes={head}", f"--trainable_scopes={head}", "--max_number_of_steps=5")
    assert _train(shapes_dir, tmp_path, f"--checkpoint_path={trained_dir}", *flags) == 0
    before = tf.train.load_checkpoint(str(trained_dir / "model.ckpt-60"))
    after = tf.train.load_checkpoint(str(tmp_path / "model.ckpt-5"))
    assert (before.get_tensor("LeNet/conv1/weights") == after.get_tensor("LeNet/conv1/weights")).all()
    assert not (before.get_tensor("LeNet/fc4/weights") == after.get_tensor("LeNet/fc4/weights")).all()
    assert not after.has_tensor("LeNet/conv1/weights/Momentum")


@pytest.mark.slow
def test_epochs_count_the_images_of_all_clones(shapes_dir, tmp_path):
    assert _train(shapes_dir, tmp_path, "--num_clones=2", "--batch_size=8", "--num_epochs=2") == 0
    assert _result(tmp_path)["global_step"] == 8  # 2 epochs of 63 images, 16 a step


@pytest.mark.slow
def test_a_batch_may_be_larger_than_the_data_set(shapes_dir, tmp_path):
    flags = ("--batch_size=200", "--max_number_of_steps=2", "--eval_split_name=test")
    assert _train(shapes_dir, tmp_path, *flags) == 0
    assert [line["step"] for line in _metrics(tmp_path) if "eval_accuracy" in line] == [1, 2]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_losses(shapes_dir, tmp_path):
    losses = []
    for name in ("a", "b"):
        assert _train(shapes_dir, tmp_path / name, "--seed=11", "--max_number_of_steps=10") == 0
        losses.append([line["loss"] for line in _metrics(tmp_path / name)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
def test_early_stopping_ends_a_run_that_no_longer_improves(shapes_dir, tmp_path):
    code = _train(
        shapes_dir, tmp_path, "--learning_rate=0", "--max_number_of_steps=1000", "--eval_split_name=test",
        "--eval_every_n_steps=5", "--early_stopping_patience=2",
    )  # fmt: skip
    assert code == 0
    assert _result(tmp_path)["global_step"] == 15


@pytest.mark.slow
def test_class_weights_and_adamw_and_cosine_and_warmup_train_together(shapes_dir, tmp_path):
    flags = (
        "--class_weights=balanced", "--optimizer=adamw", "--opt_epsilon=1e-8", "--weight_decay=0.05",
        "--learning_rate=0.001", "--learning_rate_decay_type=cosine", "--warmup_steps=5", "--gradient_clip_norm=1",
        "--max_number_of_steps=15",
    )  # fmt: skip
    assert _train(shapes_dir, tmp_path, *flags) == 0
    rates = [line["learning_rate"] for line in _metrics(tmp_path)]
    assert rates[0] > rates[1] > rates[2]


@pytest.mark.slow
def test_profile_steps_write_a_profile(shapes_dir, tmp_path):
    assert _train(shapes_dir, tmp_path, "--max_number_of_steps=5", "--profile_steps=2,3") == 0
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))


def test_a_corrupt_record_is_named_by_file_and_offset(shapes_dir, tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    for file in shapes_dir.iterdir():
        (data / file.name).write_bytes(file.read_bytes())
    (records,) = data.glob("*_train.tfrecord")
    content = bytearray(records.read_bytes())
    content[len(content) // 2] ^= 0xFF
    records.write_bytes(content)
    assert _train(data, tmp_path / "run", "--max_number_of_steps=20") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert records.name in error
    assert "at byte " in error


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model_name=lenet5"], "Did you mean lenet"),
        (["--dataset_name=shaps"], "shap"),
        (["--optimizer=addam"], "Did you mean adam"),
        (["--batch_size=0"], "--batch_size=0 must be at least 1"),
        (["--checkpoint_path=/no/such/model.ckpt"], "/no/such/model.ckpt does not exist"),
        (["--trainable_scopes=LeNet/fc5"], "LeNet/fc4"),
        (["--model_name=inception_v3", "--train_image_size=20"], "inception_v3 cannot take images of 20"),
        (["--preprocessing_name=incepton"], "Did you mean inception"),
        (["--profile_steps=5"], "FIRST,LAST"),
        (["--num_classes=2"], "--num_classes=2 is too few"),
        (["--learning_rate_decay_type=cosine"], "--max_number_of_steps"),
        (["--dataset_dir=/no/such/folder"], "/no/such/folder"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(shapes_dir, tmp_path, capsys, flags, words):
    steps = [] if "--learning_rate_decay_type=cosine" in flags else ["--max_number_of_steps=1"]
    assert _train(shapes_dir, tmp_path / "run", *steps, *flags) == 2
    error = capsys.readouterr().err
    last = error.splitlines()[-1]
    assert last.startswith("train_image_classifier: error: ")
    assert words in last
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_evaluation_without_a_checkpoint_exits_1_and_names_the_folder(shapes_dir, tmp_path, capsys):
    for argv in ([], [f"--dataset_dir={shapes_dir}", "--model_name=lenet"]):
        assert eval_image_classifier.COMMAND.main([f"--checkpoint_path={tmp_path}", *argv]) == 1
        assert str(tmp_path) in capsys.readouterr().err


def test_one_checkpoint_cannot_be_followed(trained_dir, capsys):
    argv = [f"--checkpoint_path={trained_dir}/model.ckpt-60", "--eval_interval_secs=1"]
    assert eval_image_classifier.COMMAND.main(argv) == 2
    assert "follows a training folder" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluation_follows_a_running_training_to_its_end(shapes_dir, tmp_path):
    process = _start(shapes_dir, tmp_path, "--max_number_of_steps=200", "--save_interval_secs=2")
    argv = [f"--checkpoint_path={tmp_path}", "--eval_interval_secs=1", "--mistakes=0"]
    assert eval_image_classifier.COMMAND.main(argv) == 0
    process.communicate(timeout=60)
    metrics = json.loads((tmp_path / "eval_test" / "eval_test.json").read_text())
    assert metrics["global_step"] == 200
    assert training_folder.has_ended(tmp_path)


@pytest.mark.slow
def test_a_configuration_file_of_a_run_trains_the_same_again(trained_dir, tmp_path):
    argv = [f"--config={trained_dir}/config.yaml", f"--train_dir={tmp_path}", "--max_number_of_steps=5"]
    assert train_image_classifier.COMMAND.main(argv) == 0
    first, again = (
        training_folder.read_options(folder) for folder in (trained_dir, tmp_path)
    )  # the same but for what the command line said
    assert first.model == again.model
    assert first.optimizer == again.optimizer


@pytest.mark.slow
def test_scopes_learn_at_their_own_rates_and_not_at_all_with_0(shapes_dir, tmp_path):
    assert _train(shapes_dir, tmp_path / "first", "--max_number_of_steps=5", "--learning_rate=0") == 0
    first = latest_checkpoint(tmp_path / "first")
    code = _train(
        shapes_dir, tmp_path / "second", f"--checkpoint_path={first}", "--max_number_of_steps=5", "--optimizer=adam",
        "--weight_decay=0", "--opt_epsilon=1e-8", "--learning_rate_multipliers=LeNet/conv1:0,LeNet/conv2:0.01,auto:10",
    )  # fmt: skip
    assert code == 0
    before, after = (tf.train.load_checkpoint(str(path)) for path in (first, tmp_path / "second"))

    def change(scope):
        return abs(after.get_tensor(f"LeNet/{scope}/weights") - before.get_tensor(f"LeNet/{scope}/weights")).max()

    assert change("conv1") == 0
    # Adam changes a weight by about the rate in each of its first steps.
    assert 2.5e-5 < change("conv2") < 5.5e-5
    assert 2.5e-3 < change("fc3") < 5.5e-3
    assert 2.5e-2 < change("fc4") < 5.5e-2


@pytest.mark.slow
def test_augmentation_mixing_and_erasing_train_together_and_repeat(shapes_dir, tmp_path):
    flags = [
        "--augmentation=rand-m3", "--mixup_alpha=0.2", "--cutmix_alpha=1", "--random_erasing=0.25", "--seed=5",
        "--learning_rate=0.003", "--max_number_of_steps=60",
    ]  # fmt: skip
    losses = []
    for name, evaluation in (("a", ["--eval_split_name=test", "--eval_every_n_steps=60", "--eval_flip"]), ("b", [])):
        assert _train(shapes_dir, tmp_path / name, *flags, *evaluation) == 0
        losses.append([line["loss"] for line in _metrics(tmp_path / name) if "loss" in line])
    # The first step is the same to the last bit; later ones drift apart as sums are made in another order.
    assert losses[0][:2] == pytest.approx(losses[1][:2], rel=1e-3)
    assert _metrics(tmp_path / "a")[-1]["eval_accuracy"] > 0.8
    # Without --eval_flip evaluation does as training did.
    assert eval_image_classifier.COMMAND.main([f"--train_dir={tmp_path / 'a'}", "--mistakes=0"]) == 0
    evaluated = json.loads((tmp_path / "a" / "eval_test" / "eval_test.json").read_text())
    assert evaluated["loss"] == pytest.approx(_metrics(tmp_path / "a")[-1]["eval_loss"], rel=1e-4)


@pytest.mark.slow
def test_accumulated_steps_are_updates_and_count_their_images(shapes_dir, tmp_path, capsys):
    flags = ["--batch_size=4", "--num_clones=2", "--gradient_accumulation_steps=3", "--learning_rate=0.003"]
    code = _train(shapes_dir, tmp_path, *flags, "--num_epochs=16", "--eval_split_name=test", "--seed=1")
    assert code == 0
    assert "63 images / 4 x 2 clones x 3 accumulated" in capsys.readouterr().err
    assert _result(tmp_path)["global_step"] == 42  # 16 epochs of 63 images, 24 images a step
    assert _metrics(tmp_path)[-1]["eval_accuracy"] > 0.8
    checkpoint = tf.train.load_checkpoint(str(tmp_path))
    assert not [name for name in checkpoint.get_variable_to_shape_map() if "accumulated" in name]


@pytest.mark.slow
def test_records_of_research_slim_are_trained_on_evaluated_and_exported_without_a_description(shapes_dir, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "test"):
        (path,) = shapes_dir.glob(f"*_{split}.tfrecord")
        records = [record for _, record in scan_records(path)]
        for shard in range(2):
            write_records(data / f"shapes_{split}_{shard:05d}-of-00002.tfrecord", records[shard::2])
    (data / "labels.txt").write_bytes((shapes_dir / "labels.txt").read_bytes())
    folder = tmp_path / "trained"
    flags = ("--max_number_of_steps=60", "--eval_split_name=test", "--class_weights=balanced")
    assert _train(data, folder, *flags) == 0
    assert _result(folder)["best_accuracy"] > 0.6
    report = st.evaluate(folder)
    assert (report.images, report.labels) == (27, st.evaluate(folder, dataset_dir=str(shapes_dir)).labels)
    assert st.export(folder, formats="frozen").files
