from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployment.model_deploy import DeploymentConfig, create_clones, optimize_clones
from deployment.partitions import by_stored_name, is_part, partition, partitioning_getter, stored_name, stored_shape
from slim_train.optim import optimizers
from slim_train.optim.averages import MovingAverages
from slim_train.optim.clipping import clip_by_global_norm
from slim_train.tf_compat import slim, tf
from slim_train.training_options import OPTIMIZERS, OptimizerOptions


@pytest.mark.parametrize(
    ("shape", "num_parts", "cut"),
    [
        ([25088, 4096], 4, [4, 1]),
        # 7 rows do not go into 4 even parts, 512 channels do.
        ([7, 7, 512, 4096], 4, [1, 1, 4, 1]),
        ([7, 7, 512, 4096], 7, [7, 1, 1, 1]),
        ([1, 1, 4096, 1000], 3, [1, 1, 3, 1]),
        ([5], 2, [2]),
        # No axis is as long as there are servers.
        ([2, 3], 8, [1, 3]),
        ([1, 1], 4, [1, 1]),
        ([], 4, []),
    ],
)
def test_a_variable_is_cut_along_the_axis_of_the_most_even_parts(
    shape: list[int], num_parts: int, cut: list[int]
) -> None:
    assert partition(shape, num_parts) == cut


def in_parts(min_bytes: int = 1, num_parts: int = 2) -> Any:
    return tf.variable_scope("", custom_getter=partitioning_getter(min_bytes, num_parts))


def test_only_variables_from_the_given_size_on_are_cut() -> None:
    with tf.Graph().as_default(), in_parts(min_bytes=100):
        tf.get_variable("below", [24])
        tf.get_variable("at", [25])
        tf.get_variable("wide", [13], tf.float64)
        tf.get_variable("scalar", [])
        cut = {stored_name(variable) for variable in tf.global_variables() if is_part(variable)}
    assert cut == {"at", "wide"}


def test_a_part_has_the_name_and_shape_of_the_whole_in_checkpoints_and_is_counted_as_one() -> None:
    with tf.Graph().as_default():
        whole = tf.get_variable("whole", [4])
        with in_parts(num_parts=3):
            tf.get_variable("cut", [7, 2])
        variables = tf.global_variables()
    assert [variable.shape.as_list() for variable in variables] == [[4], [3, 2], [2, 2], [2, 2]]
    assert [stored_shape(variable) for variable in variables] == [[4], [7, 2], [7, 2], [7, 2]]
    assert [len(parts) for parts in by_stored_name(variables).values()] == [1, 3]
    assert list(by_stored_name(variables)) == ["whole", "cut"] and not is_part(whole)


def test_batch_norm_statistics_stay_whole_and_are_updated() -> None:
    with tf.Graph().as_default(), in_parts():
        slim.batch_norm(tf.ones([2, 4, 4, 6]), scale=True)
        assert not any(is_part(variable) for variable in tf.global_variables() if "moving" in variable.op.name)
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2
        assert sorted(by_stored_name(tf.trainable_variables())) == ["BatchNorm/beta", "BatchNorm/gamma"]


def count(shape: list[int], dtype: Any, partition_info: Any = None) -> Any:
    """Initializer with 0, 1, 2 and so on."""
    return tf.reshape(tf.range(np.prod(shape), dtype=dtype), shape)


def initial_value(initializer: Any, shape: list[int], num_parts: int) -> np.ndarray:
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        with in_parts(num_parts=num_parts):
            variable = tf.get_variable("v", shape, initializer=initializer)
        assert len(tf.global_variables()) == num_parts
        session.run(tf.global_variables_initializer())
        return session.run(tf.convert_to_tensor(variable))


@pytest.mark.parametrize("initializer", [slim.xavier_initializer(), tf.glorot_uniform_initializer(), None])
def test_random_initial_values_are_as_wide_as_those_of_the_whole(initializer: Any) -> None:
    # Glorot's limit for 400 inputs and 4 outputs; a part alone has 100 inputs, and its own limit would be twice that.
    limit = np.sqrt(6 / (400 + 4))
    values = initial_value(initializer, [400, 4], num_parts=4)
    assert 0.95 * limit < np.abs(values).max() <= limit


def test_initial_values_that_depend_on_the_place_are_those_of_the_whole() -> None:
    np.testing.assert_array_equal(initial_value(count, [5, 3], 2), np.arange(15).reshape(5, 3))
    np.testing.assert_array_equal(initial_value(tf.ones_initializer, [4], 2), np.ones(4))


def net(batch_norm: bool = True) -> Any:
    """A convolution and a dense layer whose initial values do not depend on seeds; adds a loss and penalties."""
    images = tf.constant(np.random.default_rng(0).normal(size=(8, 6, 6, 3)), tf.float32)
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(0.1),
        weights_initializer=lambda shape, dtype, partition_info=None: tf.constant(
            np.sin(np.arange(np.prod(shape))).reshape(shape), dtype
        ),
    ):
        features = slim.conv2d(images, 4, 3, normalizer_fn=slim.batch_norm if batch_norm else None, scope="conv")
        logits = slim.fully_connected(slim.flatten(features), 5, activation_fn=None, scope="logits")
    tf.losses.sparse_softmax_cross_entropy(tf.range(8) % 5, logits)
    return logits


def train(make_optimizer: Callable[[], Any], prefix: Path, num_parts: int) -> tuple[list[float], Any]:
    """Losses of 3 steps of two clones that clip gradients and keep averages, and the checkpoint after them."""
    scope = in_parts(num_parts=num_parts) if num_parts > 1 else tf.variable_scope("")
    with tf.Graph().as_default(), scope, tf.Session() as session:
        clones = create_clones(DeploymentConfig(clone_on_cpu=True, num_clones=2), net)
        optimizer = make_optimizer()
        loss, gradients = optimize_clones(clones, optimizer)
        gradients = clip_by_global_norm(gradients, 0.5)
        update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, clones[0].scope)
        with tf.control_dependencies([*update_ops, optimizer.apply_gradients(gradients)]):
            step = MovingAverages(0.5).apply(tf.trainable_variables())
        session.run(tf.global_variables_initializer())
        losses = []
        for _ in range(3):
            losses.append(session.run(loss))
            session.run(step)
        return losses, tf.train.load_checkpoint(tf.train.Saver().save(session, str(prefix)))


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_in_parts_is_training_and_so_is_its_checkpoint(name: str, tmp_path: Path) -> None:
    def make_optimizer() -> Any:
        return optimizers.build_optimizer(OptimizerOptions(optimizer=name), 0.1, weight_decay=0.01)

    losses, whole = train(make_optimizer, tmp_path / "whole", 1)
    losses_in_parts, parts = train(make_optimizer, tmp_path / "parts", 2)
    assert losses_in_parts == pytest.approx(losses, rel=1e-5)
    assert losses[2] < losses[0]
    # Slots and averages too, under the names and in the shapes of the whole.
    assert parts.get_variable_to_shape_map() == whole.get_variable_to_shape_map()
    for variable in whole.get_variable_to_shape_map():
        np.testing.assert_allclose(parts.get_tensor(variable), whole.get_tensor(variable), atol=1e-6)


def save(prefix: Path, num_parts: int, **options: Any) -> str:
    with tf.Graph().as_default(), in_parts(num_parts=num_parts), tf.Session() as session:
        tf.get_variable("v", [10, 3], initializer=count)
        assert len(tf.global_variables()) == num_parts
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(**options).save(session, str(prefix), write_meta_graph=False)


@pytest.mark.parametrize(
    ("saved", "options", "restored"),
    [
        (1, {}, 2),
        (2, {}, 1),
        (2, {}, 3),
        (3, {}, 2),
        # The format of TF-Slim's released checkpoints.
        (1, {"write_version": tf.train.SaverDef.V1}, 3),
    ],
)
def test_a_checkpoint_restores_into_any_number_of_parts(
    saved: int, options: dict[str, Any], restored: int, tmp_path: Path
) -> None:
    checkpoint = save(tmp_path / "model.ckpt", saved, **options)
    with tf.Graph().as_default(), in_parts(num_parts=restored), tf.Session() as session:
        variable = tf.get_variable("v", [10, 3])
        assert len(tf.global_variables()) == restored
        tf.train.Saver().restore(session, checkpoint)
        values = session.run(tf.convert_to_tensor(variable))
    np.testing.assert_array_equal(values, np.arange(30).reshape(10, 3))
