"""Training with a loss, an optimizer and an augmentation of one's own, registered or from an installed package."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import slim_train as st
from slim_train.checkpoints import training_folder
from slim_train.tf_compat import tf

ROOT = Path(__file__).resolve().parents[2]

MODULE = '''
import tensorflow as tf

import slim_train


@slim_train.register_loss("poly")
def poly(logits, labels, weights, label_smoothing=0.0):
    """Cross entropy + 1 - p: Leng et al. 2022, "PolyLoss"."""
    targets = tf.one_hot(labels, logits.shape[-1]) * (1 - label_smoothing) + label_smoothing / logits.shape[-1]
    entropy = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
    return weights * (entropy + 1 - tf.reduce_sum(targets * tf.nn.softmax(logits), axis=-1))


class Lion(tf.compat.v1.train.Optimizer):
    """Steps by the sign of a momentum: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms"."""

    def __init__(self, learning_rate, weight_decay, beta1=0.9, beta2=0.99):
        super().__init__(use_locking=False, name="Lion")
        self._rate, self._decay, self._beta1, self._beta2 = learning_rate, weight_decay, beta1, beta2

    def _create_slots(self, var_list):
        for variable in var_list:
            self._zeros_slot(variable, "momentum", self._name)

    def _apply_dense(self, grad, var):
        slot = self.get_slot(var, "momentum")
        momentum, value = slot.read_value(), var.read_value()
        change = tf.sign(self._beta1 * momentum + (1 - self._beta1) * grad) + self._decay * value
        momentum = self._beta2 * momentum + (1 - self._beta2) * grad
        with tf.control_dependencies([change, momentum]):
            return tf.group(var.assign_sub(tf.convert_to_tensor(self._rate) * change), slot.assign(momentum))

    _resource_apply_dense = _apply_dense


slim_train.register_optimizer("lion", Lion)


@slim_train.register_augmentation("brightness")
def brightness(images, seed):
    """Each image up to 30 lighter or darker."""
    change = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed, -30.0, 30.0)
    return tf.clip_by_value(images + change, 0.0, 255.0)
'''
NAMES = {"loss": "poly", "optimizer": "lion", "augmentation": "brightness"}
FLAGS = [f"--{flag}={name}" for flag, name in NAMES.items()]


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder with an installed package that offers all three."""
    folder = tmp_path_factory.mktemp("site-packages")
    (folder / "own_training.py").write_text(MODULE)
    metadata = folder / "own_training-0.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own-training\nVersion: 0.3\n")
    (metadata / "entry_points.txt").write_text(
        "[slim_train.losses]\npoly = own_training:poly\n"
        "[slim_train.optimizers]\nlion = own_training:Lion\n"
        "[slim_train.augmentations]\nbrightness = own_training:brightness\n"
    )
    return folder


def run(command: str, *flags: str, python_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, filter(None, (ROOT, python_path))))
    argv = [sys.executable, "-m", f"slim_train.cli.{command}", *flags]
    return subprocess.run(argv, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_task_of_a_cluster_finds_the_package_and_the_folder_does_not_need_it(make_cluster, package, tmp_path):
    cluster = make_cluster(
        *FLAGS, "--max_number_of_steps=150", "--num_clones=2", "--partition_min_bytes=100000",
        "--learning_rate=3e-5", "--learning_rate_multipliers=auto:2",
        "--label_smoothing=0.1", python_path=package, ps=2, chief=1,
    )  # fmt: skip
    cluster.start_all()
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert "The optimizer lion is from own-training 0.3." in cluster.log("chief 0")
    stored = tf.train.load_checkpoint(str(cluster.train_dir)).get_variable_to_shape_map()
    assert stored["LeNet/fc3/weights/Lion"] == [3136, 1024]  # its slot: saved whole, as the variable is
    options = training_folder.read_options(cluster.train_dir)
    assert (options.optimizer.loss, options.optimizer.optimizer, options.augment.augmentation) == tuple(NAMES.values())

    # From here on without the package.
    assert st.evaluate(cluster.train_dir, mistakes=0).accuracy > 0.9
    assert st.export(cluster.train_dir, formats="frozen", export_dir=tmp_path / "export").files
    resumed = run("train_image_classifier", f"--config={cluster.train_dir / 'config.yaml'}")
    assert resumed.returncode == 2
    assert "Unknown loss 'poly'" in resumed.stderr


@pytest.mark.slow
def test_the_sheet_of_augmentations_shows_that_of_a_package(shapes_dir, package, tmp_path):
    flags = [f"--dataset_dir={shapes_dir}", "--model_name=lenet", "--augmentation=brightness", "--num_images=4"]
    sheet = tmp_path / "sheet.png"
    result = run("show_augmentations", *flags, f"--output_file={sheet}", python_path=package)
    assert result.returncode == 0, result.stderr
    assert sheet.is_file()
    unknown = run("show_augmentations", *flags, f"--output_file={sheet}")
    assert unknown.returncode == 2
    assert "Unknown augmentation 'brightness'. Valid: faces, none, randaugment, recipe." in unknown.stderr


def test_a_name_that_exists_nowhere_is_refused_with_what_packages_offer(shapes_dir, package):
    result = run("train_image_classifier", f"--dataset_dir={shapes_dir}", "--loss=polly", python_path=package)
    assert result.returncode == 2
    assert "Did you mean poly?" in result.stderr
    assert "poly (own-training 0.3)" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_program_trains_with_what_it_registers(shapes_dir, tmp_path):
    program = textwrap.dedent(f"""
        import slim_train as st

        result = st.train(
            {str(shapes_dir)!r}, {str(tmp_path / "run")!r}, model_name="lenet", batch_size=16, learning_rate=3e-5,
            max_number_of_steps=150, clone_on_cpu=True, seed=1, mixup_alpha=0.2, class_weights="balanced", **{NAMES!r}
        )
        assert result.plateau is None
    """)
    (tmp_path / "program.py").write_text(MODULE + program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(tmp_path / "program.py")], env=environment, check=True)
    assert st.evaluate(tmp_path / "run", mistakes=0).accuracy > 0.9


@pytest.mark.slow
def test_focal_loss_learns(shapes_dir, tmp_path):
    result = st.train(
        shapes_dir, tmp_path, model_name="lenet", batch_size=16, optimizer="momentum", learning_rate=0.002,
        learning_rate_decay_type="fixed", max_number_of_steps=150, clone_on_cpu=True, seed=1, loss="focal",
    )  # fmt: skip
    assert result.plateau is None
    assert st.evaluate(tmp_path, mistakes=0).accuracy > 0.9


@pytest.mark.slow
def test_code_that_fails_ends_training_with_one_line_and_before_the_folder_is_made(shapes_dir, tmp_path):
    program = textwrap.dedent(f"""
        import sys

        import slim_train as st
        from slim_train.cli import train_image_classifier

        st.register_loss("broken", lambda logits, labels, weights: logits.nothing)
        flags = ["--dataset_dir={shapes_dir}", "--train_dir={tmp_path}/run", "--model_name=lenet", "--loss=broken"]
        sys.exit(train_image_classifier.COMMAND.main([*flags, "--clone_on_cpu"]))
    """)
    (tmp_path / "program.py").write_text(program)
    result = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert (
        f"The loss 'broken' ({tmp_path}/program.py) failed. {tmp_path}/program.py, line 7: AttributeError"
        in result.stderr
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [{"worker": 2}, {"ps": 1, "worker": 2}], ids=["all-reduce", "synchronous"])
def test_workers_that_make_their_steps_together_train_with_the_package(make_cluster, package, sizes):
    flags = ("--max_number_of_steps=100", "--sync_replicas", "--learning_rate=3e-5", "--gradient_accumulation_steps=2")
    cluster = make_cluster(*FLAGS, *flags, python_path=package, **sizes)
    cluster.start_all()
    assert set(cluster.exit_codes().values()) == {0}, cluster.logs()
    assert st.evaluate(cluster.train_dir, mistakes=0).accuracy > 0.9


@pytest.mark.slow
def test_the_file_of_a_net_may_register_more(shapes_dir, tmp_path):
    net = """
import tf_slim as slim


def tiny(images, num_classes=None, is_training=True, scope="tiny"):
    net = slim.flatten(slim.conv2d(images, 8, 3, stride=2, scope="tiny/conv"))
    return slim.fully_connected(net, num_classes, activation_fn=None, scope="tiny/logits"), {}
"""
    (tmp_path / "own.py").write_text(MODULE + net)
    flags = [f"--dataset_dir={shapes_dir}", f"--train_dir={tmp_path}/run", f"--model_file={tmp_path}/own.py",
             "--model_name=tiny", "--train_image_size=28", "--train_image_channels=1", "--clone_on_cpu",
             "--batch_size=8", "--max_number_of_steps=2"]  # fmt: skip
    trained = run("train_image_classifier", *flags, *FLAGS)
    assert trained.returncode == 0, trained.stderr
    unknown = run("train_image_classifier", *flags, "--restart", "--loss=polly")
    assert unknown.returncode == 2
    assert "Unknown loss 'polly'. Did you mean poly?" in unknown.stderr
