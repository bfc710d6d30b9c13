"""A net and a preprocessing in files of a user, through every command and every role of a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train.cli import (
    eval_image_classifier,
    export_inference_graph,
    label_image,
    retrain,
    slim_models,
    train_image_classifier,
)
from slim_train.errors import UsageError
from slim_train.model import precision
from slim_train.serving.sources import FolderSource
from slim_train.tf_compat import tf
from slim_train.training_options import TrustedCodeOptions

CLASSES = ["cross", "disc", "square"]

DrawShapes = Callable[[Path, int, int], Path]

# As people wrote nets for TensorFlow 1: helpers in a module beside the file, arguments in an order of their own.
NET = """
import tensorflow as tf
import tensorflow.contrib.slim as slim
from nets import resnet_utils
from parts import block

def shape_net(images, is_training, num_classes=1000, width='8', with_aux=True, scope='ShapeNet'):
    end_points = {}
    with tf.variable_scope(scope, 'ShapeNet', [images]):
        with slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training):
            net = block(images, int(width), 'block1')
            net = resnet_utils.subsample(block(net, 2 * int(width), 'block2'), 1)
            if is_training and with_aux:
                with tf.variable_scope('Aux'):
                    pooled = tf.reduce_mean(net, [1, 2])
                    end_points['AuxLogits'] = slim.fully_connected(
                        pooled, num_classes, activation_fn=None, normalizer_fn=None)
            net = slim.conv2d(net, 128, [7, 7], padding='VALID', scope='fc1')
            net = slim.dropout(net, 0.8, scope='dropout')
            net = slim.conv2d(net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope='logits')
    return net, end_points

shape_net.default_image_size = 28

def shape_arg_scope(weight_decay=0.0001):
    with slim.arg_scope([slim.conv2d], weights_regularizer=tf.contrib.layers.l2_regularizer(weight_decay),
                        normalizer_fn=slim.batch_norm, normalizer_params={'decay': 0.9}) as scope:
        return scope
"""
PARTS = """
from tensorflow.contrib import slim

def block(net, width, scope):
    net = slim.conv2d(net, width, [3, 3], scope=scope)
    return slim.max_pool2d(net, [2, 2], scope=scope + '_pool')
"""
PREPROCESSING = """
import tensorflow as tf

def preprocess_image(image, output_height, output_width, is_training=False, **kwargs):
    image = tf.image.convert_image_dtype(image, tf.float32)
    if is_training:
        image = tf.image.random_flip_left_right(image)
    image = tf.image.resize_bilinear(tf.expand_dims(image, 0), [output_height, output_width])
    return 2.0 * (tf.squeeze(image, [0]) - 0.5)
"""
TRAINED = (
    "--batch_size=16", "--optimizer=adam", "--opt_epsilon=1e-8", "--learning_rate=0.003", "--clone_on_cpu", "--seed=1",
    "--learning_rate_decay_type=fixed", "--model_name=shape_net", "--save_summaries_secs=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The flags that name the user's files."""
    folder = tmp_path_factory.mktemp("code")
    for name, text in (("shapes.py", NET), ("parts.py", PARTS), ("prep.py", PREPROCESSING)):
        (folder / name).write_text(text)
    return f"--model_file={folder / 'shapes.py'}", f"--preprocessing_file={folder / 'prep.py'}"


@pytest.fixture(scope="module")
def trained(shapes_dir: Path, code: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on two clones, evaluated on the way."""
    folder = tmp_path_factory.mktemp("trained")
    argv = [f"--dataset_dir={shapes_dir}", f"--train_dir={folder}", *TRAINED, *code]
    argv += ["--num_clones=2", "--batch_size=8", "--max_number_of_steps=120", "--eval_split_name=test"]
    assert train_image_classifier.COMMAND.main(argv) == 0
    return folder


def _accuracy(train_dir: Path, eval_dir: Path, *flags: str) -> float:
    argv = [f"--checkpoint_path={train_dir}", f"--eval_dir={eval_dir}", "--mistakes=0", *flags]
    assert eval_image_classifier.COMMAND.main(argv) == 0
    return float(json.loads((eval_dir / "eval_test.json").read_text())["accuracy"])


@pytest.mark.slow
def test_it_learns_on_two_clones_and_is_evaluated_on_the_way(trained: Path, tmp_path: Path) -> None:
    assert json.loads((trained / "result.json").read_text())["best_accuracy"] > 0.9
    assert _accuracy(trained, tmp_path, "--trust_model_code") > 0.9


@pytest.mark.slow
def test_its_code_in_the_training_folder_runs_only_if_the_user_says_so(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert eval_image_classifier.COMMAND.main([f"--checkpoint_path={trained}"]) == 2
    assert "--trust_model_code to run the copy in" in capsys.readouterr().err
    source = FolderSource("shapes", trained, 50.0)
    with pytest.raises(UsageError, match="--trust_model_code"):
        source.load(source.find())


def test_a_training_folder_is_served_if_it_is_trusted(trained: Path) -> None:
    source = FolderSource("shapes", trained, 50.0, TrustedCodeOptions(trust_model_code=True))
    servable = source.load(source.find())
    assert list(servable.labels or ()) == CLASSES
    servable.close()


@pytest.mark.slow
def test_its_head_is_fine_tuned_on_cached_features(
    trained: Path, code: tuple[str, ...], shapes_dir: Path, tmp_path: Path
) -> None:
    argv = [f"--dataset_dir={shapes_dir}", f"--train_dir={tmp_path / 'run'}", *TRAINED, *code]
    argv += [f"--checkpoint_path={trained}", "--checkpoint_exclude_scopes=auto", "--trainable_scopes=auto"]
    argv += ["--cache_features", "--max_number_of_steps=100"]
    # The auxiliary head of the net trains on other features.
    assert train_image_classifier.COMMAND.main(argv) == 2
    assert train_image_classifier.COMMAND.main([*argv, "--model_args=with_aux=false"]) == 0
    before, after = (tf.train.load_checkpoint(str(folder)) for folder in (trained, tmp_path / "run"))
    for name in ("ShapeNet/block1/weights", "ShapeNet/block1/BatchNorm/moving_mean", "ShapeNet/fc1/weights"):
        np.testing.assert_array_equal(after.get_tensor(name), before.get_tensor(name))
    assert not np.array_equal(after.get_tensor("ShapeNet/logits/weights"), before.get_tensor("ShapeNet/logits/weights"))
    assert _accuracy(tmp_path / "run", tmp_path, *code) > 0.9


def test_its_exports_need_none_of_its_code(
    trained: Path, tmp_path: Path, draw_shapes: DrawShapes, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [f"--checkpoint_path={trained}", f"--export_dir={tmp_path}", "--trust_model_code"]
    assert export_inference_graph.COMMAND.main(argv) == 0
    draw_shapes(tmp_path / "images", 1, 7)
    for model in (f"--graph={tmp_path / 'model.pb'}", f"--saved_model_dir={tmp_path / 'saved_model'}"):
        capsys.readouterr()
        assert label_image.COMMAND.main([model, f"--image={tmp_path / 'images/*/*.png'}", "--json"]) == 0
        answers = json.loads(capsys.readouterr().out)["images"]
        assert [answer["labels"][0]["label"] for answer in answers] == CLASSES


def test_retrain_takes_its_features(trained: Path, tmp_path: Path, draw_shapes: DrawShapes) -> None:
    draw_shapes(tmp_path / "images", 20, 3)
    argv = [f"--image_dir={tmp_path / 'images'}", "--model_name=shape_net", f"--checkpoint_path={trained}"]
    argv += ["--how_many_training_steps=100", "--trust_model_code", f"--bottleneck_dir={tmp_path / 'features'}"]
    argv += [f"--{name}={tmp_path / name}" for name in ("output_graph", "output_labels", "summaries_dir")]
    assert retrain.COMMAND.main(argv) == 0
    assert json.loads((tmp_path / "output_graph.json").read_text())["test"]["accuracy"] > 0.8


@pytest.mark.slow
def test_slim_models_shows_it(code: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert slim_models.COMMAND.main([code[0], "shape_net"]) == 0
    shown = capsys.readouterr().out
    assert "28x28, 3 channels; at least 28x28" in shown  # the 7x7 layer fits no smaller image
    assert "ShapeNet/Aux, ShapeNet/logits" in shown
    assert "features, 128 wide" in shown
    assert slim_models.COMMAND.main([code[0], "--json"]) == 0
    (net,) = json.loads(capsys.readouterr().out)
    assert net["origin"].endswith("shapes.py")
    assert net["num_parameters"] > 100_000


@pytest.mark.slow
def test_a_parameter_server_holds_it_in_parts(make_cluster: Any, code: tuple[str, ...], tmp_path: Path) -> None:
    cluster = make_cluster(
        *TRAINED, *code, "--partition_min_bytes=1000", "--max_number_of_steps=150", "--startup_delay_steps=0",
        ps=2, chief=1, worker=1,
    )  # fmt: skip
    cluster.start_all()
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert _accuracy(cluster.train_dir, tmp_path / "eval", "--trust_model_code") > 0.9


@pytest.mark.slow
def test_two_workers_all_reduce_it_and_an_evaluator_follows(make_cluster: Any, code: tuple[str, ...]) -> None:
    cluster = make_cluster(
        *TRAINED, *code, "--max_number_of_steps=120", "--eval_split_name=test", worker=2, evaluator=1
    )
    cluster.start_all()
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    best = json.loads((cluster.train_dir / "best" / "best.json").read_text())
    assert best["accuracy"] > 0.9


def test_it_trains_and_answers_in_bfloat16(shapes_dir: Path, code: tuple[str, ...], tmp_path: Path) -> None:
    if not precision.is_served("bf16", tf.ConfigProto()):
        pytest.skip("this CPU does not compute in bfloat16")
    argv = [f"--dataset_dir={shapes_dir}", f"--train_dir={tmp_path / 'run'}", *TRAINED, *code]
    assert train_image_classifier.COMMAND.main([*argv, "--precision=bf16", "--max_number_of_steps=120"]) == 0
    assert _accuracy(tmp_path / "run", tmp_path, *code, "--precision=bf16") > 0.9


@pytest.mark.slow
def test_a_preprocessing_that_calls_python_is_not_exported(
    shapes_dir: Path, code: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prep.py"
    file.write_text(
        "import tensorflow as tf\n"
        "def preprocess_image(image, output_height, output_width, is_training):\n"
        "    image = tf.py_func(lambda pixels: pixels.astype('float32') / 255, [image], tf.float32)\n"
        "    return tf.ensure_shape(image, [output_height, output_width, 3])\n"
    )
    argv = [f"--dataset_dir={shapes_dir}", f"--train_dir={tmp_path / 'run'}", *TRAINED, code[0]]
    flag = f"--preprocessing_file={file}"
    assert train_image_classifier.COMMAND.main([*argv, flag, "--max_number_of_steps=2"]) == 0
    assert export_inference_graph.COMMAND.main([f"--checkpoint_path={tmp_path / 'run'}", "--trust_model_code"]) == 2
    assert "calls Python in its graph (tf.py_func, node" in capsys.readouterr().err
    assert not (tmp_path / "run" / "export" / "model.pb").exists()
