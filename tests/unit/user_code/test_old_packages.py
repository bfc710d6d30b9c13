"""What files written for TensorFlow 1 and research/slim find when they import."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest

from slim_train.errors import UsageError
from slim_train.tf_compat import batch_norm_mode, slim, tf
from slim_train.user_code import old_packages
from slim_train.user_code.files import UserFiles


def _run(folder: Path, source: str) -> Any:
    (folder / "written.py").write_text(source)
    files = UserFiles(folder)
    try:
        return files.load("written")
    finally:
        files.close()


@pytest.mark.parametrize(
    "line",
    [
        "import tensorflow as tf; slim = tf.contrib.slim",
        "import tensorflow.contrib.slim as slim",
        "from tensorflow.contrib import slim",
        "import tensorflow.compat.v1 as tf; slim = tf.contrib.slim",
        "from tensorflow.compat import v1 as tf; slim = tf.contrib.slim",
        "import tf_slim as slim",
    ],
)
def test_slim_is_found_by_every_name(line: str, tmp_path: Path) -> None:
    assert _run(tmp_path, line).slim is slim


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from tensorflow.contrib import layers; x = layers.xavier_initializer", "xavier_initializer"),
        ("import tensorflow as tf; x = tf.contrib.layers.l2_regularizer", "l2_regularizer"),
        ("from tensorflow.contrib.framework.python.ops import add_arg_scope as x", "add_arg_scope"),
        ("from tensorflow.contrib.framework import arg_scope as x", "arg_scope"),
        ("from tensorflow.contrib.layers.python.layers import utils; x = utils.collect_named_outputs", None),
        ("import tensorflow.contrib.layers as layers; x = layers.batch_norm", "batch_norm"),
        ("from tensorflow.contrib.layers.python.layers import initializers; x = initializers.xavier_initializer", None),
    ],
)
def test_contrib_has_what_tf_slim_has(line: str, expected: str | None, tmp_path: Path) -> None:
    found = _run(tmp_path, line).x
    assert callable(found)
    assert expected is None or found is getattr(slim, expected)


def test_the_interface_is_that_of_version_1(tmp_path: Path) -> None:
    module = _run(
        tmp_path, "import tensorflow as tf\nfrom tensorflow import gfile\nsession, app = tf.Session, tf.app\n"
    )
    assert module.session is tf.Session
    assert module.gfile is tf.gfile
    assert module.app.run is tf.app.run


def test_a_file_changes_nothing_for_the_process(tmp_path: Path) -> None:
    outer = tf.get_default_graph()
    _run(
        tmp_path,
        "import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()\ntf.disable_eager_execution()\n"
        "tf.reset_default_graph()\n",
    )
    assert tf.executing_eagerly()
    assert isinstance(tf.TensorShape([1])[0], int)
    assert tf.get_default_graph() is outer


def test_hyperparameters_of_contrib_training_hold_values(tmp_path: Path) -> None:
    module = _run(
        tmp_path,
        "import tensorflow as tf\nh = tf.contrib.training.HParams(depth=2)\nh.set_hparam('depth', 3)\n"
        "h.add_hparam('width', 4)\nvalues = h.values()\n",
    )
    assert module.values == {"depth": 3, "width": 4}


@pytest.mark.parametrize(
    "source",
    [
        "import tensorflow as tf\nx = tf.contrib.rnn\n",
        "import os\nfrom tensorflow.contrib import rnn\n",
        "import os\nfrom tensorflow.contrib.rnn import LSTMCell\n",
        "import os\nimport tensorflow.contrib.rnn as rnn\n",
    ],
)
def test_what_is_gone_is_named_with_what_is_there(source: str, tmp_path: Path) -> None:
    with pytest.raises((ImportError, AttributeError), match=r"contrib\.rnn.*slim-train has slim, layers, framework"):
        _run(tmp_path, source)


def test_utilities_of_research_slim_are_ours(tmp_path: Path) -> None:
    module = _run(
        tmp_path,
        "from nets import resnet_utils, inception_utils\nimport nets.resnet_v2 as resnet_v2\n"
        "from nets.mobilenet_v1 import mobilenet_v1, mobilenet_v1_arg_scope\nblock = resnet_utils.Block\n",
    )
    assert module.block.__name__ == "Block"
    assert callable(module.inception_utils.inception_arg_scope)
    assert module.mobilenet_v1.default_image_size == 224
    assert "nets" not in sys.modules


def test_a_net_of_ours_builds_by_its_old_name(tmp_path: Path) -> None:
    module = _run(tmp_path, "from nets import mobilenet_v1\n").mobilenet_v1
    with tf.Graph().as_default(), slim.arg_scope(module.mobilenet_v1_arg_scope(weight_decay=1e-4)):
        logits, _ = module.mobilenet_v1_025(tf.zeros([1, 64, 64, 3]), 5, is_training=False, reuse=None)
        assert logits.shape.as_list() == [1, 5]
        assert tf.losses.get_regularization_losses()


def test_a_module_beside_the_file_goes_before_ours(tmp_path: Path) -> None:
    (tmp_path / "resnet_utils.py").write_text("MINE = True\n")
    assert _run(tmp_path, "from nets import resnet_utils\n").resnet_utils.MINE


def test_a_folder_nets_beside_the_file_adds_to_ours(tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "my_utils.py").write_text("MINE = True\n")
    module = _run(tmp_path, "from nets import my_utils, resnet_utils\nfrom nets.my_utils import MINE\n")
    assert module.MINE
    assert module.resnet_utils.Block


def test_a_missing_module_of_research_slim_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"nets\.s3dg of research/slim is not available; put s3dg\.py beside"):
        _run(tmp_path, "from nets import s3dg\n")


def test_preprocessing_and_dataset_utils_of_research_slim_are_ours(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("0:cat\n1:dog\n")
    module = _run(
        tmp_path,
        "from preprocessing import inception_preprocessing\nfrom datasets import dataset_utils\n"
        f"names = dataset_utils.read_label_file({str(tmp_path)!r})\n",
    )
    assert module.names == {0: "cat", 1: "dog"}
    with tf.Graph().as_default(), tf.Session() as session:
        image = tf.zeros([40, 50, 3], tf.uint8)
        made = module.inception_preprocessing.preprocess_image(image, 8, 8, is_training=False)
        assert session.run(made).shape == (8, 8, 3)


def test_packages_of_slim_train_are_found_by_files_that_know_them(tmp_path: Path) -> None:
    assert _run(tmp_path, "from datasets.spec import LABELS_FILE\n").LABELS_FILE == "labels.txt"


def test_layers_of_tensorflow_1_are_there_and_batch_norm_can_be_frozen(tmp_path: Path) -> None:
    module = _run(
        tmp_path,
        "import tensorflow as tf\n"
        "def net(images):\n"
        "    net = tf.layers.conv2d(images, 4, 3, name='conv')\n"
        "    net = tf.layers.batch_normalization(net, training=True, name='norm')\n"
        "    return tf.layers.dense(tf.layers.flatten(net), 5, name='dense')\n",
    )
    for mode, count in ((None, 2), (False, 0)):
        with tf.Graph().as_default(), contextlib.nullcontext() if mode is None else batch_norm_mode(mode):
            assert module.net(tf.zeros([1, 8, 8, 3])).shape.as_list() == [1, 5]
            assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == count


def test_modules_of_others_are_pythons_affair() -> None:
    assert old_packages.find("numpy", False, lambda name: None) is None
    assert old_packages.find("tensorflow.python.ops", True, lambda name: None) is None


def test_an_argument_that_our_net_does_not_have_is_refused_unless_it_changes_nothing(tmp_path: Path) -> None:
    mobilenet_v1 = _run(tmp_path, "from nets import mobilenet_v1\n").mobilenet_v1.mobilenet_v1
    with tf.Graph().as_default(), slim.arg_scope([slim.separable_conv2d], depth_multiplier=1):
        mobilenet_v1(tf.zeros([1, 32, 32, 3]), 5, is_training=False, depth_multiplier=0.25, min_depth=8, scope=None)
        widths = [v.shape.as_list()[-1] for v in tf.global_variables() if v.op.name.endswith("Conv2d_0/weights")]
        assert widths == [8]
    with tf.Graph().as_default(), pytest.raises(UsageError, match="mobilenet_v1 has no argument scope='Tower'"):
        mobilenet_v1(inputs=tf.zeros([1, 32, 32, 3]), num_classes=5, scope="Tower")


def test_layer_objects_of_tensorflow_1_can_be_frozen_too(tmp_path: Path) -> None:
    module = _run(
        tmp_path,
        "import tensorflow as tf\n"
        "def net(images):\n"
        "    net = tf.layers.BatchNormalization(name='norm')(images, training=True)\n"
        "    return tf.layers.Dropout(0.5, name='drop')(net, training=True)\n",
    )
    for mode, count in ((None, 2), (False, 0)):
        with tf.Graph().as_default(), contextlib.nullcontext() if mode is None else batch_norm_mode(mode):
            module.net(tf.zeros([1, 8, 8, 3]))
            assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == count
