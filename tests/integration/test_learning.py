"""Does it learn: what trainings say when they do not, and whether asynchronous workers do, again and again."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from datasets.convert import convert_dataset
from slim_train.cli import download_and_convert_data, eval_image_classifier, launch_cluster, train_image_classifier

CONTRIBUTED = re.compile(r"Contributed (\d+) gradients")
JOINS = re.compile(r"this worker joins at step (\d+)")


@pytest.fixture(scope="module")
def grey_dir(tmp_path_factory):
    """TFRecords of images that say nothing about their 3 classes: all are the same grey."""
    pictures, records = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("records")
    for name in ("one", "three", "two"):
        (pictures / name).mkdir()
        for index in range(20):
            Image.new("L", (28, 28), 128).save(pictures / name / f"{index}.png")
    convert_dataset("image_folder", str(records), str(pictures), seed=1, num_workers=1)
    return records


def _train(dataset_dir, train_dir, *flags):
    argv = [
        f"--dataset_dir={dataset_dir}", f"--train_dir={train_dir}", "--model_name=lenet", "--batch_size=16",
        "--clone_on_cpu", "--optimizer=momentum", *flags,
    ]  # fmt: skip
    assert train_image_classifier.COMMAND.main(argv) == 0
    return json.loads((train_dir / "result.json").read_text())


@pytest.mark.slow
def test_a_training_that_cannot_learn_says_so_once_and_in_its_result(grey_dir, tmp_path, capfd):
    result = _train(grey_dir, tmp_path, "--learning_rate=0.001", "--max_number_of_steps=320")
    assert result["plateau"]["constant_answer_loss"] == pytest.approx(np.log(3), abs=0.01)
    assert result["plateau"]["left_at_step"] is None
    assert capfd.readouterr().err.count("The training does not learn") == 1


@pytest.mark.slow
def test_a_training_that_starts_slowly_is_not_taken_for_one_that_does_not_learn(shapes_dir, tmp_path, capfd):
    flags = ("--learning_rate=0.002", "--warmup_steps=150", "--max_number_of_steps=320")
    result = _train(shapes_dir, tmp_path, *flags)
    assert result["plateau"] is None
    assert result["loss"] < 0.9
    assert "does not learn" not in capfd.readouterr().err


@pytest.mark.slow
def test_in_a_fresh_asynchronous_job_the_chief_takes_the_first_steps_alone(make_cluster):
    cluster = make_cluster("--max_number_of_steps=200", "--startup_delay_steps=40", ps=1, worker=2)
    cluster.start_all()
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert JOINS.search(cluster.log("worker 1"))[1] == "40"
    contributed = int(CONTRIBUTED.search(cluster.log("worker 1"))[1])
    assert 0 < contributed <= 160
    # Until then nothing is stale; afterwards each update comes between those of the other worker.
    staleness = {line["step"]: line["staleness"] for line in cluster.metrics()}
    assert all(value == 0 for step, value in staleness.items() if step <= 40)
    assert max(staleness.values()) > 0.3


@pytest.mark.slow
def test_workers_of_a_job_that_is_resumed_begin_at_once(make_cluster):
    for last_step in (100, 300):
        cluster = make_cluster(f"--max_number_of_steps={last_step}", "--startup_delay_steps=20", ps=1, worker=2)
        cluster.start_all()
        assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert len(JOINS.findall(cluster.log("worker 1"))) == 1  # of the first run
    assert len(CONTRIBUTED.findall(cluster.log("worker 1"))) == 2


@pytest.fixture(scope="module")
def digits_dir(tmp_path_factory):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    records = tmp_path_factory.mktemp("digits")
    flags = ["--dataset_name=digits", f"--dataset_dir={records}"]
    assert download_and_convert_data.COMMAND.main(flags) == 0
    return records


@pytest.mark.slow
@pytest.mark.parametrize(("num_ps", "num_workers"), [(1, 2), (2, 2), (2, 3)])
def test_asynchronous_workers_learn_every_time_with_default_flags(digits_dir, tmp_path, num_ps, num_workers):
    accuracies = []
    for attempt in range(5):
        train_dir = tmp_path / str(attempt)
        code = launch_cluster.COMMAND.main([
            f"--num_ps={num_ps}", f"--num_workers={num_workers}", "--", "train_image_classifier",
            f"--dataset_dir={digits_dir}", f"--train_dir={train_dir}", "--model_name=lenet", "--train_image_size=28",
            "--batch_size=16", f"--max_number_of_steps={150 * num_workers}",
        ])  # fmt: skip
        assert code == 0
        assert json.loads((train_dir / "result.json").read_text())["plateau"] is None
        assert eval_image_classifier.COMMAND.main([f"--checkpoint_path={train_dir}", "--mistakes=0"]) == 0
        accuracies.append(json.loads((train_dir / "eval_test" / "eval_test.json").read_text())["accuracy"])
    assert min(accuracies) > 0.85, accuracies
