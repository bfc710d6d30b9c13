"""The net of a checkpoint, from the names and shapes of its variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.errors import UsageError
from slim_train.nets.factory import get_record, net_names
from slim_train.nets.network_fn import network_fn_of
from slim_train.tf_compat import slim, tf
from slim_train.zoo.identify import Match, identify, matches

# Nets that are built fast; one has siblings of the same variable names.
FAST = ("alexnet_v2", "lenet", "mobilenet_v1_025", "vgg_16")


def variables_of(name: str, num_classes: int, is_training: bool = False) -> dict[str, tuple[int, ...]]:
    """The shapes of the model variables of a net, by name."""
    record = get_record(name)
    with tf.Graph().as_default():
        size = record.default_image_size
        images = tf.placeholder(tf.float32, [2, size, size, record.channels])
        network_fn_of(record, num_classes, is_training=is_training)(images)
        return {variable.op.name: tuple(variable.shape.as_list()) for variable in slim.get_model_variables()}


def check(name: str) -> None:
    best = matches(variables_of(name, 7))[0]
    assert (best.record.name, best.num_classes, best.fits) == (name, 7, True)
    assert not best.reshaped and not best.others


@pytest.mark.parametrize("name", FAST)
def test_a_net_is_recognized_by_its_variables(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(net_names()) - set(FAST)))
def test_every_net_of_the_zoo_is_recognized(name: str) -> None:
    check(name)


def test_released_weights_come_with_the_size_and_recipe_they_were_trained_with() -> None:
    record = get_record("resnet_v2_50")
    released, retrained = (Match(record, count, (), (), ()) for count in (1001, 5))
    assert (released.image_size, released.preprocessing) == (
        record.checkpoint_image_size or record.default_image_size,
        record.checkpoint_preprocessing or record.preprocessing,
    )
    assert (retrained.image_size, retrained.preprocessing) == (record.default_image_size, record.preprocessing)
    assert (released.image_size, released.preprocessing) != (retrained.image_size, retrained.preprocessing)


def test_what_differs_is_listed() -> None:
    shapes = variables_of("lenet", 5) | {"extra/weights": (1,), "LeNet/fc3/weights": (9, 9)}
    del shapes["LeNet/conv1/biases"]
    (match,) = matches(shapes)
    assert not match.fits
    assert (match.missing, match.reshaped, match.others) == (
        ("LeNet/conv1/biases",),
        ("LeNet/fc3/weights",),
        ("extra/weights",),
    )


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            {"mine/logits/weights": [4, 5], "mine/logits/biases": [5]},
            "is of no net that slim-train knows. It holds mine",
        ),
        ({"LeNet/fc4/biases": [5]}, "It resembles lenet, but LeNet/conv1/weights differs. Give --model_name"),
    ],
)
def test_a_checkpoint_of_no_known_net_is_refused(shapes: dict[str, list[int]], message: str, tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        for name, shape in shapes.items():
            tf.Variable(tf.zeros(shape), name=name)
        session.run(tf.global_variables_initializer())
        prefix = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with pytest.raises(UsageError, match=message):
        identify(prefix)
