"""What the factory promises of every net: a sweep over the registry at small image sizes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from slim_train.checkpoints import scopes
from slim_train.checkpoints.restore import plan_restore
from slim_train.errors import UsageError
from slim_train.nets import factory
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf

# Nets with a fully connected layer over a map of one size: other image sizes give other weights.
_TIED_TO_IMAGE_SIZE = {"lenet", "cifarnet"}
# A size that every net takes, none is made for, and that halves to odd maps.
_IMAGE_SIZE = 100
# Numbers that are no kernel size and no width of any layer: what has one in its shape depends on the classes.
_NUM_CLASSES, _OTHER_NUM_CLASSES = 17, 19
# Up to half a minute each; most are made by the code of a net that is swept by default.
_LIKE_OTHERS = re.compile(
    r"resnet_v\d_(101|152|200)|p?nasnet_.*|inception_(v[234]|resnet_v2)|vgg_1[69]|resnet_v1_50|overfeat"
    r"|mobilenet_v1(_050|_075)?|mobilenet_v2.*|mobilenet_v3_(large.*|small_minimalistic|edge_tpu.*)"
)
# For tests that build a net several times.
_OF_EACH_KIND = re.compile(r"alexnet_v2|cifarnet|face_vgg|lenet|mobilenet_v1_025")
_DEVICE = "/device:CPU:0"


def _each(is_slow: Callable[[str], Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "record",
        [
            pytest.param(factory.get_record(name), id=name, marks=pytest.mark.slow if is_slow(name) else [])
            for name in factory.net_names()
        ],
        # Brings the tests of a net together; tests/conftest.py gives them to one worker, which builds its graphs once.
        scope="module",
    )


each_net = _each(_LIKE_OTHERS.fullmatch)
one_net_of_each_kind = _each(lambda name: not _OF_EACH_KIND.fullmatch(name))


@dataclasses.dataclass(frozen=True)
class Built:
    """What one graph holds: shapes by name, and what depends on the mode."""

    output: list[int]
    end_points: dict[str, list[int]]
    variables: dict[str, list[int]]
    update_ops: int
    regularization_losses: int
    batch_norm_modes: set[bool]
    devices: set[str]
    variable_devices: set[str]
    variables_from_getter: set[str]
    left_behind: bool


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """A net with random weights, saved, and restored with other classes to take a step of the head."""

    inference: Built
    logits: np.ndarray
    training: Built
    without_gradient: tuple[str, ...]
    missing_in_checkpoint: tuple[str, ...]
    loss: float
    largest_moves: dict[str, float]


@functools.cache
def features(record: NetRecord) -> Built:
    with _graph(record, _IMAGE_SIZE, num_classes=0) as (built, *_):
        return built


@functools.cache
def fine_tuned(record: NetRecord) -> FineTuned:
    is_tied = record.name in _TIED_TO_IMAGE_SIZE
    first_size, second_size = [record.default_image_size] * 2 if is_tied else [record.min_image_size, _IMAGE_SIZE]
    with tempfile.TemporaryDirectory() as folder:
        with _graph(record, first_size, _NUM_CLASSES) as (inference, output, *_), _session() as session:
            session.run(tf.global_variables_initializer())
            logits = session.run(output)
            checkpoint = tf.train.Saver().save(session, f"{folder}/own", write_meta_graph=False)

        arguments = {"weight_decay": 1e-4, "is_training": True}
        with (
            _graph(record, second_size, _OTHER_NUM_CLASSES, **arguments) as (training, output, end_points),
            _session() as session,
        ):
            outputs = [output, *(end_points[name] for name in ("AuxLogits",) if name in end_points)]
            # Linear: the gradient of a softmax may vanish, since some nets give huge logits while untrained.
            loss = tf.add_n([tf.reduce_mean(logits) for logits in outputs])
            trained = tf.trainable_variables()
            gradients = {v.op.name: gradient for v, gradient in zip(trained, tf.gradients(loss, trained), strict=True)}
            heads = {v.op.name: v for v in trained if in_head(record, v.op.name)}
            steps = [variable.assign_sub(0.1 * gradients[name]) for name, variable in heads.items()]
            variables = slim.get_model_variables()
            excluded = scopes.split_scopes("auto", record.head_scopes)
            plan = plan_restore(checkpoint, variables, excluded, ignore_missing=True)
            # NASNet makes a global step where there is none, which is no variable of the model.
            rest = [variable for variable in tf.global_variables() if variable.op.name not in plan.restored]
            session.run(tf.variables_initializer(rest))
            plan.init_fn()(None, session)
            before = session.run(heads)
            loss_value, _ = session.run([loss, steps])
            after = session.run(heads)
    moves = {name: float(np.abs(after[name] - before[name]).max()) for name in heads}
    without_gradient = tuple(name for name, gradient in gradients.items() if gradient is None)
    return FineTuned(inference, logits, training, without_gradient, tuple(plan.missing), float(loss_value), moves)


@contextlib.contextmanager
def _graph(
    record: NetRecord, image_size: int, num_classes: int, **arguments: Any
) -> Iterator[tuple[Built, Any, dict[str, Any]]]:
    """A graph with the net on two images of noise: what it holds, the output and the end points."""
    arg_scope = slim.current_arg_scope()
    from_getter = set()

    def record_name(getter: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        from_getter.add(name)
        return getter(name, *args, **kwargs)

    noise = np.random.default_rng(0).standard_normal([2, image_size, image_size, record.channels], np.float32)
    with (
        tf.Graph().as_default() as graph,
        tf.device(_DEVICE),
        tf.variable_scope(tf.get_variable_scope(), custom_getter=record_name) as scope,
    ):
        settings = dict(vars(scope))
        output, end_points = factory.get_network_fn(record.name, num_classes, **arguments)(tf.constant(noise))
        operations = graph.get_operations()
        built = Built(
            output=output.shape.as_list(),
            end_points={name: tensor.shape.as_list() for name, tensor in end_points.items()},
            variables={variable.op.name: variable.shape.as_list() for variable in tf.global_variables()},
            update_ops=len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)),
            regularization_losses=len(tf.losses.get_regularization_losses()),
            batch_norm_modes={op.get_attr("is_training") for op in operations if op.type == "FusedBatchNormV3"},
            devices={op.device for op in operations},
            variable_devices={variable.device for variable in tf.global_variables()},
            variables_from_getter=from_getter,
            left_behind=slim.current_arg_scope() != arg_scope or vars(tf.get_variable_scope()) != settings,
        )
        yield built, output, end_points


def _session() -> Any:
    """Without the graph optimizers, which take longer for large nets than a step does."""
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return tf.Session(config=config)


def in_head(record: NetRecord, name: str) -> bool:
    return name.startswith(tuple(f"{scope}/" for scope in record.head_scopes))


@one_net_of_each_kind
def test_a_net_takes_other_image_sizes_with_the_same_weights(record: NetRecord) -> None:
    inference, without_head = fine_tuned(record).inference, features(record)
    assert inference.output == [2, _NUM_CLASSES]
    assert np.isfinite(fine_tuned(record).logits).all()
    assert without_head.variables
    assert without_head.variables.keys() <= inference.variables.keys()
    if record.name not in _TIED_TO_IMAGE_SIZE:
        assert without_head.variables.items() <= inference.variables.items()


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
    variables = fine_tuned(record).training.variables
    depends = {name for name, shape in variables.items() if _OTHER_NUM_CLASSES in shape}
    assert depends
    assert {name for name in variables if in_head(record, name)} == depends
    assert all(any(name.startswith(f"{scope}/") for name in depends) for scope in record.head_scopes)


@each_net
def test_without_classes_a_net_gives_its_features(record: NetRecord) -> None:
    built = features(record)
    assert built.output in ([2, record.feature_width], [2, 1, 1, record.feature_width])
    assert built.end_points[record.feature_end_point] == built.output
    assert not [name for name in built.variables if in_head(record, name)]


@each_net
def test_the_features_are_an_end_point_of_the_classifier_too(record: NetRecord) -> None:
    assert fine_tuned(record).training.end_points[record.feature_end_point] == features(record).output


@each_net
def test_a_training_graph_reaches_every_weight_and_updates_every_moving_average(record: NetRecord) -> None:
    training = fine_tuned(record).training
    assert training.output == [2, _OTHER_NUM_CLASSES]
    assert not fine_tuned(record).without_gradient
    assert training.regularization_losses
    assert training.update_ops == sum("moving_" in name for name in training.variables)
    assert training.batch_norm_modes <= {True}


@each_net
def test_frozen_batch_norm_uses_its_moving_averages_and_leaves_them_alone(record: NetRecord) -> None:
    with _graph(record, _IMAGE_SIZE, _NUM_CLASSES, is_training=True, freeze_batch_norm=True) as (frozen, *_):
        assert frozen.update_ops == 0
        assert frozen.batch_norm_modes <= {False}
        assert bool(frozen.batch_norm_modes) == any("moving_" in name for name in frozen.variables)


@each_net
def test_the_caller_decides_where_and_how_variables_are_made(record: NetRecord) -> None:
    training = fine_tuned(record).training
    assert training.variable_devices == {_DEVICE}
    # Operations colocated with a variable have no device of their own.
    assert training.devices <= {_DEVICE, ""}
    assert training.variables_from_getter == training.variables.keys()


@each_net
def test_building_a_net_leaves_no_setting_behind(record: NetRecord) -> None:
    assert not fine_tuned(record).inference.left_behind
    assert not fine_tuned(record).training.left_behind


@each_net
def test_a_net_is_fine_tuned_from_its_own_checkpoint_with_other_classes(record: NetRecord) -> None:
    tuned = fine_tuned(record)
    # NASNet's auxiliary head is there in training only.
    assert all(name.startswith("aux_") for name in tuned.missing_in_checkpoint)
    assert np.isfinite(tuned.loss)
    assert min(tuned.largest_moves.values()) > 0
    assert all(map(np.isfinite, tuned.largest_moves.values()))
