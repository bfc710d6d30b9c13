"""Training and evaluation in other precisions than float32, as users ask for them."""

import json
import math

import pytest

from slim_train.cli import eval_image_classifier, train_image_classifier
from slim_train.model import precision
from slim_train.tf_compat import tf


@pytest.fixture(scope="module", autouse=True)
def _bf16():
    if not precision.is_served("bf16", tf.ConfigProto()):
        pytest.skip("this CPU does not compute in bfloat16")


@pytest.fixture
def train(shapes_dir, tmp_path):
    def run(*flags):
        argv = [
            f"--dataset_dir={shapes_dir}", f"--train_dir={tmp_path}", "--model_name=lenet", "--batch_size=16",
            "--optimizer=momentum", "--learning_rate=0.001", "--clone_on_cpu", "--seed=3", "--log_every_n_steps=1",
        ]  # fmt: skip
        return train_image_classifier.COMMAND.main([*argv, *flags])

    return run


def _result(folder):
    return json.loads((folder / "result.json").read_text())


def _evaluate(train_dir, eval_dir, *flags):
    argv = [f"--checkpoint_path={train_dir}", f"--eval_dir={eval_dir}", "--mistakes=0", *flags]
    assert eval_image_classifier.COMMAND.main(argv) == 0
    return json.loads((eval_dir / "eval_test.json").read_text())


def test_training_in_bf16_learns_and_its_float32_checkpoint_goes_on_in_fp32(train, tmp_path):
    assert train("--precision=bf16", "--max_number_of_steps=60") == 0
    assert _result(tmp_path)["precision"] == "bf16"
    checkpoint = tf.train.load_checkpoint(str(tmp_path / "model.ckpt-60"))
    types = {name: type_ for name, type_ in checkpoint.get_variable_to_dtype_map().items() if name != "global_step"}
    assert set(types.values()) == {tf.float32}
    fp32 = _evaluate(tmp_path, tmp_path / "fp32")
    bf16 = _evaluate(tmp_path, tmp_path / "bf16", "--precision=bf16")
    assert fp32["accuracy"] > 0.9 and bf16["accuracy"] > 0.9
    assert fp32["loss"] != bf16["loss"] and bf16["loss"] == pytest.approx(fp32["loss"], abs=0.02)

    assert train("--max_number_of_steps=62") == 0
    assert (_result(tmp_path)["precision"], _result(tmp_path)["global_step"]) == ("fp32", 62)


def test_auto_measures_says_so_and_trains(train, tmp_path, capsys):
    assert train("--precision=auto", "--max_number_of_steps=3") == 0
    assert f"Going on in {_result(tmp_path)['precision']}." in capsys.readouterr().err
    assert _result(tmp_path)["global_step"] == 3


def test_measuring_does_not_change_what_is_trained(train, tmp_path, monkeypatch):
    assert train("--max_number_of_steps=3") == 0
    monkeypatch.setattr(precision, "_WORTHWHILE", float("inf"))
    assert train("--max_number_of_steps=3", "--precision=auto", "--restart") == 0
    (earlier,) = tmp_path.glob("previous-*")
    losses = [
        [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (earlier, tmp_path)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and len(losses[0]) == 3


@pytest.mark.parametrize(
    ("flag", "message"),
    [("--precision=fp16", "--precision=fp16 is for a GPU"), ("--xla", "--xla requires a GPU")],
)
def test_what_needs_a_gpu_is_refused_without(train, capsys, flag, message):
    assert train(flag, "--max_number_of_steps=1") == 2
    assert message in capsys.readouterr().err


def test_auto_in_a_cluster_is_refused(train, capsys, monkeypatch):
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}}))
    assert train("--precision=auto", "--max_number_of_steps=1") == 2
    assert "name the precision" in capsys.readouterr().err


def test_workers_in_bf16_exchange_whole_float32_values(make_cluster):
    cluster = make_cluster("--precision=bf16", "--max_number_of_steps=20", "--log_every_n_steps=1", worker=2)
    cluster.start_all()
    assert cluster.exit_codes() == {"worker 0": 0, "worker 1": 0}, cluster.logs()
    assert cluster.result()["precision"] == "bf16"
    # The mean of two values of 8 significant bits has 9.
    assert any(
        not (line["loss"] * 2**16 / 2 ** int(math.log2(line["loss"]))).is_integer() for line in cluster.metrics()
    )
