"""What the factory promises of every net: a sweep over the registry at small image sizes."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slim_train import checkpoints, scopes
from slim_train.errors import UsageError
from slim_train.nets import factory
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf

# Nets that take seconds to build; but for the first two, a smaller sister is swept by default.
_SLOW_TO_BUILD = re.compile(r"inception_(v4|resnet_v2)|resnet_v\d_(101|152|200)|nasnet_.*|pnasnet_large")
# Nets with a fully connected layer over a map of one size: other image sizes give other weights.
_TIED_TO_IMAGE_SIZE = {"lenet", "cifarnet"}
# A size that every net takes, none is made for, and that halves to odd maps.
_IMAGE_SIZE = 100
# A number that is no kernel size and no width of any layer: what has it in its shape depends on the classes.
_NUM_CLASSES = 17

each_net = pytest.mark.parametrize(
    "record",
    [
        pytest.param(
            factory.get_record(name), id=name, marks=pytest.mark.slow if _SLOW_TO_BUILD.fullmatch(name) else []
        )
        for name in factory.net_names()
    ],
    # Brings the tests of a net together, so that one worker builds its graphs once for all of them.
    scope="module",
)


@dataclasses.dataclass(frozen=True)
class Built:
    """What one graph holds: shapes by name, and what depends on the mode."""

    output: list[int]
    end_points: dict[str, list[int]]
    variables: dict[str, list[int]]
    without_gradient: list[str]
    update_ops: int
    regularization_losses: int
    batch_norm_modes: set[bool]
    devices: set[str]
    variable_devices: set[str]
    variables_from_getter: set[str]
    left_behind: bool


@functools.cache
def build(record: NetRecord, image_size: int, num_classes: int = _NUM_CLASSES, **arguments: Any) -> Built:
    arg_scope = slim.current_arg_scope()
    from_getter = set()

    def record_name(getter: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        from_getter.add(name)
        return getter(name, *args, **kwargs)

    with (
        tf.Graph().as_default() as graph,
        tf.device("/job:caller"),
        tf.variable_scope(tf.get_variable_scope(), custom_getter=record_name) as scope,
    ):
        settings = dict(vars(scope))
        images = tf.zeros([2, image_size, image_size, record.channels])
        output, end_points = factory.get_network_fn(record.name, num_classes, **arguments)(images)
        operations = graph.get_operations()
        return Built(
            output=output.shape.as_list(),
            end_points={name: tensor.shape.as_list() for name, tensor in end_points.items()},
            variables={variable.op.name: variable.shape.as_list() for variable in tf.global_variables()},
            without_gradient=without_gradient(output, end_points) if arguments.get("is_training") else [],
            update_ops=len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)),
            regularization_losses=len(tf.losses.get_regularization_losses()),
            batch_norm_modes={op.get_attr("is_training") for op in operations if op.type == "FusedBatchNormV3"},
            devices={op.device for op in operations},
            variable_devices={variable.device for variable in tf.global_variables()},
            variables_from_getter=from_getter,
            left_behind=slim.current_arg_scope() != arg_scope or vars(tf.get_variable_scope()) != settings,
        )


def without_gradient(output: Any, end_points: dict[str, Any]) -> list[str]:
    """The trainable variables on which neither the output nor the auxiliary logits depend."""
    trained = tf.trainable_variables()
    outputs = [output, *[end_points[name] for name in ["AuxLogits"] if name in end_points]]
    gradients = tf.gradients(outputs, trained)
    return [variable.op.name for variable, gradient in zip(trained, gradients, strict=True) if gradient is None]


def in_head(record: NetRecord, name: str) -> bool:
    return name.startswith(tuple(f"{scope}/" for scope in record.head_scopes))


@each_net
def test_a_net_takes_other_image_sizes_with_the_same_weights(record: NetRecord) -> None:
    smallest = build(record, record.min_image_size)
    larger = build(record, _IMAGE_SIZE, num_classes=0)
    assert smallest.output == [2, _NUM_CLASSES]
    assert larger.variables
    assert larger.variables.keys() <= smallest.variables.keys()
    if record.name not in _TIED_TO_IMAGE_SIZE:
        assert larger.variables.items() <= smallest.variables.items()


@each_net
def test_one_pixel_less_than_the_smallest_size_leaves_nothing_to_classify(record: NetRecord) -> None:
    size = record.min_image_size - 1
    if not size:
        pytest.skip("takes images of a single pixel")
    with (
        tf.Graph().as_default(),
        slim.arg_scope(record.arg_scope(0.0, None)),
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=False),
        pytest.raises(ValueError, match=r"[Nn]egative (dimension|output)"),
    ):
        record.builder(tf.zeros([2, size, size, record.channels]), _NUM_CLASSES)


@each_net
def test_an_image_that_is_too_small_is_refused_before_the_graph_is_built(record: NetRecord) -> None:
    size = record.min_image_size - 1
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [2, size, 300, record.channels])
        with pytest.raises(UsageError, match=rf"{record.name} .*{size}x300.*{record.min_image_size}"):
            factory.get_network_fn(record.name, _NUM_CLASSES)(images)
        assert len(graph.get_operations()) == 1


@each_net
def test_head_scopes_hold_exactly_the_variables_that_depend_on_the_number_of_classes(record: NetRecord) -> None:
    variables = build(record, _IMAGE_SIZE, weight_decay=1e-4, is_training=True).variables
    depends = {name for name, shape in variables.items() if _NUM_CLASSES in shape}
    assert depends
    assert {name for name in variables if in_head(record, name)} == depends
    assert all(any(name.startswith(f"{scope}/") for name in depends) for scope in record.head_scopes)


@each_net
def test_without_classes_a_net_gives_its_features(record: NetRecord) -> None:
    features = build(record, _IMAGE_SIZE, num_classes=0)
    assert features.output in ([2, record.feature_width], [2, 1, 1, record.feature_width])
    assert features.end_points[record.feature_end_point] == features.output
    assert not [name for name in features.variables if in_head(record, name)]


@each_net
def test_the_features_are_an_end_point_of_the_classifier_too(record: NetRecord) -> None:
    features = build(record, _IMAGE_SIZE, num_classes=0)
    classifier = build(record, _IMAGE_SIZE, weight_decay=1e-4, is_training=True)
    assert classifier.end_points[record.feature_end_point] == features.output


@each_net
def test_a_training_graph_reaches_every_weight_and_updates_every_moving_average(record: NetRecord) -> None:
    training = build(record, _IMAGE_SIZE, weight_decay=1e-4, is_training=True)
    assert training.output == [2, _NUM_CLASSES]
    assert not training.without_gradient
    assert training.regularization_losses
    assert training.update_ops == sum("moving_" in name for name in training.variables)
    assert training.batch_norm_modes <= {True}


@each_net
def test_frozen_batch_norm_uses_its_moving_averages_and_leaves_them_alone(record: NetRecord) -> None:
    frozen = build(record, _IMAGE_SIZE, is_training=True, freeze_batch_norm=True)
    assert frozen.update_ops == 0
    assert frozen.batch_norm_modes <= {False}
    assert bool(frozen.batch_norm_modes) == any("moving_" in name for name in frozen.variables)


@each_net
def test_the_caller_decides_where_and_how_variables_are_made(record: NetRecord) -> None:
    training = build(record, _IMAGE_SIZE, weight_decay=1e-4, is_training=True)
    assert training.variable_devices == {"/job:caller"}
    # Operations colocated with a variable have no device of their own.
    assert training.devices <= {"/job:caller", ""}
    assert training.variables_from_getter == training.variables.keys()


@each_net
def test_building_a_net_leaves_no_setting_behind(record: NetRecord) -> None:
    assert not build(record, record.min_image_size).left_behind
    assert not build(record, _IMAGE_SIZE, weight_decay=1e-4, is_training=True).left_behind


@each_net
def test_a_net_is_fine_tuned_from_its_own_checkpoint_with_other_classes(record: NetRecord, tmp_path: Path) -> None:
    first_size = record.default_image_size if record.name in _TIED_TO_IMAGE_SIZE else _IMAGE_SIZE
    second_size = first_size if record.name in _TIED_TO_IMAGE_SIZE else max(64, record.min_image_size)
    random = np.random.default_rng(0)

    def noise(size: int) -> Any:
        return tf.constant(random.standard_normal([2, size, size, record.channels], np.float32))

    with tf.Graph().as_default():
        logits, _ = factory.get_network_fn(record.name, 5)(noise(first_size))
        with _session() as session:
            session.run(tf.global_variables_initializer())
            assert np.isfinite(session.run(logits)).all()
            checkpoint = tf.train.Saver().save(session, str(tmp_path / "own"), write_meta_graph=False)

    with tf.Graph().as_default():
        network = factory.get_network_fn(record.name, 3, is_training=True)
        logits, end_points = network(noise(second_size))
        outputs = [logits, *(end_points[name] for name in ("AuxLogits",) if name in end_points)]
        loss = sum(tf.losses.sparse_softmax_cross_entropy([0, 2], output) for output in outputs)
        heads = [v for v in tf.trainable_variables() if in_head(record, v.op.name)]
        train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss, var_list=heads)
        excluded = scopes.split_scopes("auto", record.head_scopes)
        variables = slim.get_model_variables()
        plan = checkpoints.plan_restore(checkpoint, variables, excluded, ignore_missing=True)
        # NASNet's auxiliary head is there in training only.
        assert all(name.startswith("aux_") for name in plan.missing)
        with _session() as session:
            session.run(tf.variables_initializer([v for v in variables if v.op.name not in plan.restored]))
            plan.init_fn()(None, session)
            before = session.run(heads)
            assert np.isfinite(session.run([loss, train_op])[0])
            moved = [np.abs(new - old).max() for new, old in zip(session.run(heads), before, strict=True)]
    assert min(moved) > 0
    assert all(map(np.isfinite, moved))


def _session() -> Any:
    """Without the graph optimizers, which take longer for large nets than a step does."""
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return tf.Session(config=config)
