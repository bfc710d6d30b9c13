from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf2

from slim_train.errors import UsageError
from slim_train.retraining import output
from slim_train.retraining.head import HeadWeights
from slim_train.retraining.modules import FeatureModule
from slim_train.retraining.options import OutputOptions
from slim_train.tf_compat import tf

HEAD = HeadWeights(np.eye(3, 4, dtype=np.float32), np.arange(4, dtype=np.float32))
PICTURES = np.random.default_rng(0).random((5, 8, 8, 3), np.float32)


def expected() -> np.ndarray:
    """Of the module of ten times the mean color, and HEAD."""
    logits = 10 * PICTURES.mean(axis=(1, 2)) @ HEAD.weights + HEAD.biases
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_the_frozen_graph_answers_under_the_names_of_retrain_py(tmp_path: Path, colour_module: FeatureModule):
    output.write_frozen_graph(tmp_path / "graph.pb", colour_module, HEAD, "final_result")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(tf.GraphDef.FromString((tmp_path / "graph.pb").read_bytes()), name="")
        answer = session.run("final_result:0", {"Placeholder:0": PICTURES})
        assert session.graph.get_tensor_by_name("Placeholder:0").shape.as_list() == [None, 8, 8, 3]
    np.testing.assert_allclose(answer, expected(), rtol=1e-4)


def test_the_saved_model_serves_image_to_prediction(tmp_path: Path, colour_module: FeatureModule):
    labels = ["a", "b", "c", "d"]
    output.write_saved_model(tmp_path / "models" / "1", colour_module, HEAD, labels, "final_result")
    serve = tf2.saved_model.load(str(tmp_path / "models" / "1")).signatures["serving_default"]
    np.testing.assert_allclose(serve(image=tf2.constant(PICTURES))["prediction"], expected(), rtol=1e-4)
    assert (tmp_path / "models" / "1" / "labels.txt").read_text() == "a\nb\nc\nd\n"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["1"]


def test_labels_are_in_small_letters_with_spaces_for_the_rest():
    assert output.label_names(["Blue-Sky", "T_shirt 2", "__x__"]) == ["blue sky", "t shirt 2", " x "]


def test_letters_of_other_scripts_stay():
    assert output.label_names(["Café", "猫", "犬"]) == ["café", "猫", "犬"]


def test_folders_that_give_the_same_label_are_named():
    with pytest.raises(UsageError, match="'Red Rose' and 'red_rose'"):
        output.label_names(["Red Rose", "red_rose"])


@pytest.mark.parametrize("name", ["with space", "", "_x", "a:0", "Placeholder", "module", "final_retrain_ops"])
def test_a_name_that_no_node_can_have_is_refused(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match="--final_tensor_name"):
        output.check(OutputOptions(output_graph=str(tmp_path / "g.pb"), final_tensor_name=name))


@pytest.mark.parametrize("flag", ["output_graph", "output_labels"])
def test_a_folder_in_the_place_of_a_result_is_refused_before_the_work(tmp_path: Path, flag: str):
    files = {"output_graph": str(tmp_path / "g.pb"), "output_labels": str(tmp_path / "l.txt"), flag: str(tmp_path)}
    with pytest.raises(UsageError, match=f"--{flag}=.* is a folder"):
        output.check(OutputOptions(**files))


def test_a_saved_model_is_never_overwritten(tmp_path: Path):
    (tmp_path / "model").mkdir()
    options = OutputOptions(
        output_graph=str(tmp_path / "g.pb"),
        output_labels=str(tmp_path / "l.txt"),
        saved_model_dir=str(tmp_path / "model"),
    )
    output.check(options)
    (tmp_path / "model" / "saved_model.pb").write_text("")
    with pytest.raises(UsageError, match="--saved_model_dir=.* already exists"):
        output.check(options)


def test_folders_of_results_are_made(tmp_path: Path):
    output.check(
        OutputOptions(
            output_graph=str(tmp_path / "a" / "b" / "g.pb"),
            output_labels=str(tmp_path / "c" / "l.txt"),
            intermediate_output_graphs_dir=str(tmp_path / "d"),
            intermediate_store_frequency=5,
        )
    )
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "c", "d"]
