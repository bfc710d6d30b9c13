from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.model import precision
from slim_train.nets.factory import get_network_fn
from slim_train.preprocessing.factory import get_recipe
from slim_train.retraining.modules import FeatureModule, load_module
from slim_train.retraining.options import ModuleOptions
from slim_train.tf_compat import slim, tf
from slim_train.training_options import UserCodeOptions

SIZE = 8
PICTURES = np.random.default_rng(0).random((2, SIZE, SIZE, 3), np.float32)


def load(folder: Path, **options: Any) -> FeatureModule:
    return load_module(ModuleOptions(tfhub_module=str(folder), **options))


def features(module: FeatureModule, pictures: np.ndarray) -> np.ndarray:
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, module.height, module.width, 3])
        return session.run(module.features(images), {images: pictures})


def test_a_tf1_hub_module_gives_its_default_signature(colour_module: FeatureModule):
    assert (colour_module.height, colour_module.width, colour_module.num_features) == (SIZE, SIZE, 3)
    np.testing.assert_allclose(features(colour_module, PICTURES), 10 * PICTURES.mean(axis=(1, 2)), rtol=1e-5)


def test_the_graph_has_no_variables(colour_module: FeatureModule):
    assert not [node.op for node in colour_module.graph_def.node if "Var" in node.op]


@pytest.fixture
def dense_module(tmp_path: Path, save_module: Callable[..., Path]) -> Path:
    def build(images: Any) -> Any:
        net = slim.conv2d(images, 16, [3, 3], weights_initializer=slim.variance_scaling_initializer(seed=1))
        return tf.reduce_mean(net, axis=[1, 2])

    return save_module(tmp_path / "dense", build)


def test_features_are_computed_in_the_precision_that_is_asked_for(dense_module: Path):
    if not precision.is_served("bf16", tf.ConfigProto()):
        pytest.skip("this CPU does not compute in bfloat16")
    computed = {}
    for name in ("fp32", "bf16"):
        module = load(dense_module, precision=name)
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3])
            output = module.features(images)
            with module.session() as session:
                computed[name] = session.run(output, {images: PICTURES})
    np.testing.assert_allclose(computed["bf16"], computed["fp32"], rtol=0.05, atol=0.02)
    assert np.abs(computed["bf16"] - computed["fp32"]).max() > 1e-5


def test_auto_takes_16_bits_where_the_machine_computes_in_them(dense_module: Path, monkeypatch: pytest.MonkeyPatch):
    for is_served, chosen in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(precision, "is_served", lambda name, base, answer=is_served: answer)
        assert load(dense_module).precision == chosen


def test_a_precision_of_another_device_is_refused(dense_module: Path):
    with pytest.raises(UsageError, match="--precision=fp16 is for a GPU"):
        load(dense_module, precision="fp16")


def test_a_classification_module_gives_its_logits(tmp_path: Path, save_module: Callable[..., Path]):
    def build(images: Any) -> dict[str, Any]:
        logits = tf.reduce_mean(images, axis=[1, 2]) @ tf.get_variable("w", [3, 5])
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}

    assert load(save_module(tmp_path / "classifier", build, "image_classification")).num_features == 5


def test_features_of_one_by_one_maps_are_vectors(tmp_path: Path, save_module: Callable[..., Path]):
    folder = save_module(tmp_path / "maps", lambda images: tf.reduce_mean(images, axis=[1, 2], keepdims=True))
    np.testing.assert_allclose(features(load(folder), PICTURES), PICTURES.mean(axis=(1, 2)), rtol=1e-5)


def test_larger_maps_are_refused(tmp_path: Path, save_module: Callable[..., Path]):
    folder = save_module(tmp_path / "maps", lambda images: 2.0 * images)
    with pytest.raises(UsageError, match="maps of 8x8.*pooling"):
        load(folder)


def test_the_identity_changes_with_the_weights(tmp_path: Path, save_module: Callable[..., Path]):
    def build(value: float) -> Callable[[Any], Any]:
        return lambda images: tf.get_variable("scale", initializer=value) * tf.reduce_mean(images, axis=[1, 2])

    modules = [load(save_module(tmp_path / name, build(value))) for name, value in (("a", 1.0), ("b", 2.0))]
    assert modules[0].identity != modules[1].identity
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    assert load(tmp_path / "copy").identity == modules[0].identity


def test_a_module_of_any_size_is_asked_for_the_size_of_the_flag(tmp_path: Path, save_module: Callable[..., Path]):
    folder = save_module(tmp_path / "any", lambda images: tf.reduce_mean(images, axis=[1, 2]), size=None)
    assert (load(folder).height, load(folder, image_size=40).width) == (224, 40)
    assert load(folder).identity != load(folder, image_size=40).identity


def test_a_size_that_does_not_suit_is_refused(colour_module_folder: Path):
    with pytest.raises(UsageError, match="--image_size=9 .* 8x8"):
        load(colour_module_folder, image_size=9)


def test_batch_norm_is_folded_and_changes_nothing(tmp_path: Path, save_module: Callable[..., Path]):
    def build(images: Any) -> Any:
        random = np.random.default_rng(1)

        def variable(name: str, *shape: int) -> Any:
            return tf.get_variable(name, initializer=random.uniform(0.5, 1.5, shape).astype(np.float32))

        def batch_norm(net: Any, name: str, width: int) -> Any:
            moments = [variable(f"{name}/{part}", width) for part in ("scale", "offset", "mean", "variance")]
            return tf.nn.relu6(tf.nn.fused_batch_norm(net, *moments, epsilon=1e-3, is_training=False)[0])

        net = batch_norm(tf.nn.conv2d(images, variable("conv", 3, 3, 3, 4), 2, "SAME"), "one", 4)
        filters = variable("depthwise", 3, 3, 4, 2)
        net = batch_norm(tf.nn.depthwise_conv2d_native(net, filters, [1, 1, 1, 1], "SAME"), "two", 8)
        return tf.reduce_mean(net, axis=[1, 2])

    folder = save_module(tmp_path / "module", build)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        output = tf.saved_model.loader.load(session, [], str(folder)).signature_def["default"].outputs["default"]
        expected = session.run(graph.get_tensor_by_name(output.name), {"images:0": PICTURES})
    module = load(folder)
    assert not [node.op for node in module.graph_def.node if node.op.startswith("FusedBatchNorm")]
    np.testing.assert_allclose(features(module, PICTURES), expected, rtol=1e-4)


@pytest.mark.slow
def test_a_net_of_ours_gives_the_features_of_its_checkpoint(tmp_path: Path):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3])
        recipe = get_recipe("inception")
        net = get_network_fn("mobilenet_v1_025", num_classes=4)
        _, end_points = net(recipe.eval_batch(255.0 * images))
        session.run(tf.global_variables_initializer())
        tf.train.Saver(slim.get_model_variables()).save(session, str(tmp_path / "model.ckpt"), global_step=7)
        pictures = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
        expected = session.run(end_points["AvgPool_1a"], {images: pictures}).reshape(2, 256)
    options = ModuleOptions(model_name="mobilenet_v1_025", checkpoint_path=str(tmp_path), image_size=32)
    np.testing.assert_allclose(features(load_module(options), pictures), expected, rtol=1e-3, atol=1e-5)


def test_a_grey_net_takes_colour_pictures(tmp_path: Path):
    with tf.Graph().as_default(), tf.Session() as session:
        get_network_fn("lenet", num_classes=4)(tf.placeholder(tf.float32, [None, 28, 28, 1]))
        session.run(tf.global_variables_initializer())
        tf.train.Saver(slim.get_model_variables()).save(session, str(tmp_path / "model.ckpt"))
    module = load_module(ModuleOptions(model_name="lenet", checkpoint_path=str(tmp_path / "model.ckpt")))
    assert (module.height, module.num_features) == (28, 1024)
    assert features(module, np.random.default_rng(0).random((2, 28, 28, 3), np.float32)).shape == (2, 1024)


@pytest.mark.slow
def test_size_channels_and_preprocessing_are_those_of_the_training(tmp_path: Path):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 1])
        _, end_points = get_network_fn("mobilenet_v1_025", num_classes=4)(get_recipe("vgg").eval_batch(images))
        session.run(tf.global_variables_initializer())
        tf.train.Saver(slim.get_model_variables()).save(session, str(tmp_path / "model.ckpt"), global_step=7)
        gray = np.random.default_rng(0).random((2, 32, 32, 1), np.float32)
        expected = session.run(end_points["AvgPool_1a"], {images: 255.0 * gray}).reshape(2, 256)
    (tmp_path / "config.yaml").write_text(
        "model_name: mobilenet_v1_025\ntrain_image_size: 32\ntrain_image_channels: 1\npreprocessing_name: vgg\n"
    )
    module = load_module(ModuleOptions(model_name="mobilenet_v1_025", checkpoint_path=str(tmp_path)))
    assert module.height == 32
    np.testing.assert_allclose(features(module, gray.repeat(3, axis=3)), expected, rtol=1e-2, atol=1e-3)


def test_code_without_a_net_is_refused(colour_module_folder: Path):
    with pytest.raises(UsageError, match="--model_file, .* belong to --model_name"):
        load_module(ModuleOptions(tfhub_module=str(colour_module_folder)), UserCodeOptions(model_file="net.py"))


def test_a_checkpoint_of_another_net_is_refused(tmp_path: Path):
    with tf.Graph().as_default(), tf.Session() as session:
        get_network_fn("lenet", num_classes=4)(tf.placeholder(tf.float32, [None, 28, 28, 1]))
        session.run(tf.global_variables_initializer())
        tf.train.Saver(slim.get_model_variables()).save(session, str(tmp_path / "model.ckpt"))
    with pytest.raises(UsageError, match=r"lacks .* another net's, since it holds LeNet"):
        load_module(ModuleOptions(model_name="cifarnet", checkpoint_path=str(tmp_path / "model.ckpt")))


def test_a_checkpoint_without_a_net_is_said_to_have_no_use(
    colour_module_folder: Path, caplog: pytest.LogCaptureFixture
):
    load(colour_module_folder, checkpoint_path="/some/where")
    assert "--checkpoint_path=/some/where is ignored" in caplog.text
