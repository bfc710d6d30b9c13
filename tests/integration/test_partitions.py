"""Variables in parts on several parameter servers: what a job leaves behind goes on anywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slim_train.cli import eval_image_classifier, train_image_classifier
from slim_train.tf_compat import tf

# LeNet's second kernel and its first dense layer are larger, the rest is not.
IN_PARTS = "--partition_min_bytes=100000"
CUT = {"LeNet/conv2/weights": [5, 5, 32, 64], "LeNet/fc3/weights": [3136, 1024]}


def test_a_dry_run_in_a_cluster_needs_no_server(shapes_dir, tmp_path, monkeypatch, capsys):
    cluster = {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"], "ps": ["127.0.0.1:3", "127.0.0.1:4"]}
    flags = [f"--dataset_dir={shapes_dir}", f"--train_dir={tmp_path / 'run'}", "--model_name=lenet", "--clone_on_cpu"]
    plans = {}
    for role in ("chief", "worker", "ps"):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": role, "index": 0}}))
        assert train_image_classifier.COMMAND.main([*flags, "--dry_run", IN_PARTS]) == 0
        plans[role] = capsys.readouterr().out
    assert "LeNet/fc3/weights, part 2 of 2" in plans["chief"]
    assert plans["chief"].count("/job:ps/task:1/device:CPU:0") >= 3
    assert plans["worker"] == plans["chief"]
    assert "LeNet" not in plans["ps"]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_was_trained_in_parts_goes_on_with_fewer_servers_without_any_and_as_a_start(
    make_cluster, shapes_dir, tmp_path
):
    averaged = "--moving_average_decay=0.9"
    cluster = make_cluster(
        IN_PARTS, averaged, "--max_number_of_steps=20", "--sync_replicas", "--gradient_clip_norm=10",
        "--histogram_summaries", "--save_summaries_secs=1", "--ps_wire_dtype=bf16", ps=2, chief=1, worker=1,
    )  # fmt: skip
    train_dir = cluster.train_dir
    cluster.start_all()
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    first = tf.train.load_checkpoint(str(train_dir)).get_variable_to_shape_map()
    for name, shape in CUT.items():
        for stored in (name, f"{name}/Momentum", f"{name}/ExponentialMovingAverage"):
            assert first[stored] == shape
    assert not [name for name in first if "part_" in name]

    fewer = make_cluster(IN_PARTS, averaged, "--max_number_of_steps=30", ps=1, chief=1)
    fewer.start_all()
    assert set(fewer.exit_codes().values()) == {0}, fewer.logs()
    assert "RESUMING" in fewer.log("chief 0")
    assert fewer.result()["global_step"] == 30

    alone = [f"--dataset_dir={shapes_dir}", f"--train_dir={train_dir}", "--model_name=lenet", "--clone_on_cpu"]
    alone += ["--batch_size=8", "--optimizer=momentum", averaged]
    assert train_image_classifier.COMMAND.main([*alone, "--max_number_of_steps=40"]) == 0
    assert cluster.result()["global_step"] == 40
    assert tf.train.load_checkpoint(str(train_dir)).get_variable_to_shape_map() == first

    tuned = make_cluster(
        IN_PARTS, "--max_number_of_steps=5", f"--checkpoint_path={train_dir}", "--checkpoint_exclude_scopes=LeNet/fc4",
        "--trainable_scopes=LeNet/fc4", ps=2, chief=1,
    )  # fmt: skip
    tuned_dir = tmp_path / "tuned"
    tuned.start_all(f"--train_dir={tuned_dir}")
    assert set(tuned.exit_codes().values()) == {0}, tuned.logs()
    before, after = (tf.train.load_checkpoint(str(folder)) for folder in (train_dir, tuned_dir))
    for name in CUT:
        np.testing.assert_array_equal(after.get_tensor(name), before.get_tensor(name))
    assert not np.array_equal(after.get_tensor("LeNet/fc4/weights"), before.get_tensor("LeNet/fc4/weights"))
    assert not after.has_tensor("LeNet/fc3/weights/Momentum")

    evaluate = [f"--checkpoint_path={tuned_dir}", "--dataset_split_name=test", "--eval_dir", str(tmp_path / "eval")]
    assert eval_image_classifier.COMMAND.main(evaluate) == 0
