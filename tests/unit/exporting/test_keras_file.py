from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slim_train import config
from slim_train.errors import UsageError
from slim_train.exporting import run
from slim_train.exporting.keras_file import write_keras
from slim_train.exporting.options import ExportOptions
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import load_predictor
from slim_train.inference.trained_model import find_trained_model
from slim_train.nets.factory import get_network_fn
from slim_train.tf_compat import tf
from slim_train.training_options import UserCodeOptions
from slim_train.user_code.load import load_net

# What someone does who has Keras and none of our packages.
WITHOUT_US = """
import json, sys
for package in ("slim_train", "datasets", "deployment", "tf_slim", "tf_keras"):
    sys.modules[package] = None  # importing it is an error from here on
import keras, numpy as np
keras.utils.set_random_seed(0)
pixels = np.load(sys.argv[2])
model = keras.saving.load_model(sys.argv[1])
model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", jit_compile=False)
scores = model.predict(pixels, verbose=0)
history = model.fit(pixels, np.arange(len(pixels)) % 3, epochs=8, batch_size=8, verbose=0).history["loss"]
modules = sorted({type(layer).__module__.split(".")[0] for layer in model.layers})
print(json.dumps({"scores": scores.tolist(), "loss": history, "modules": modules}))
"""


SMALL = """
import tensorflow.compat.v1 as tf
import tf_slim as slim


def small(images, num_classes, is_training):
    net = slim.separable_conv2d(images, 4, 3, stride=2, normalizer_fn=slim.batch_norm, scope="small/conv")
    net = slim.dropout(tf.reduce_mean(net, [1, 2]), 0.9)
    return slim.fully_connected(net, num_classes, activation_fn=None, scope="small/logits"), {}


small.default_image_size = 16
"""


def write_folder(folder: Path) -> None:
    """A training folder of the net above."""
    (folder / "net.py").write_text(SMALL)
    (folder / "labels.txt").write_text("0:a\n1:b\n2:c\n")
    (folder / "config.yaml").write_text("dataset_dir: gone\nmodel_name: small\n")
    code = load_net(UserCodeOptions(model_file=str(folder / "net.py")), "small")
    assert code
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        tf.set_random_seed(0)
        get_network_fn(code, 3)(tf.zeros([1, 16, 16, 3]))
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "model.ckpt-1"), write_meta_graph=False)


@pytest.mark.slow
def test_the_file_answers_and_trains_on_with_nothing_but_keras(tmp_path: Path) -> None:
    write_folder(tmp_path)
    flags = {"checkpoint_path": str(tmp_path), "export_dir": str(tmp_path), "formats": "keras"}
    flags |= {"model_file": str(tmp_path / "net.py")}
    report = run.run(config.with_values(ExportOptions(), {**flags, "num_check_images": 4}))
    (file,) = report.files
    assert (file.format, file.path) == ("Keras model", "model.keras")
    assert file.difference and file.difference.largest < 1e-5
    assert json.loads((tmp_path / "model.json").read_text())["labels"] == ["a", "b", "c"]
    brightness = np.arange(8)[:, np.newaxis, np.newaxis, np.newaxis] % 3 * 60
    pixels = (brightness + np.random.default_rng(0).uniform(0, 100, (8, 16, 16, 3))).astype(np.float32)
    np.save(tmp_path / "pixels.npy", pixels)
    paths = [str(tmp_path / name) for name in ("model.keras", "pixels.npy")]
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_US, *paths], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    overrides = ModelOverrides(code=UserCodeOptions(model_file=str(tmp_path / "net.py")))
    with load_predictor(tmp_path, overrides) as predictor:
        expected = predictor.scores(pixels)
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-5)
    assert answer["loss"][-1] < 0.8 * answer["loss"][0]
    assert answer["modules"] == ["keras"]


def test_a_net_that_keras_has_no_layer_for_is_refused(training_folder: Path, tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "import tensorflow.compat.v1 as tf\nimport tf_slim as slim\n\n\n"
        "def odd(images, num_classes, is_training):\n"
        "    return slim.fully_connected(tf.cumsum(images)[:, 0, 0], num_classes), {}\n"
    )
    code = UserCodeOptions(model_file=str(net))
    trained = find_trained_model(training_folder, ModelOverrides(model_name="odd", code=code))
    with pytest.raises(UsageError, match=r"The net cannot be written in Keras: the operation Cumsum \(Cumsum\)"):
        write_keras(tmp_path / "model.keras", trained, trained.info())
