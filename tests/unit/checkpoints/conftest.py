"""Checkpoints to find, restore and keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from slim_train.tf_compat import tf

SHAPES = {"net/conv/weights": [3, 3], "net/conv/biases": [3], "net/logits/weights": [3, 5], "net/logits/biases": [5]}


@pytest.fixture(scope="session")
def make_variables() -> Callable[[dict[str, list[int]]], list[tf.Variable]]:
    """``make_variables(shapes)``: variables of these names and shapes in the default graph."""
    return _variables


@pytest.fixture(scope="session")
def save() -> Callable[..., str]:
    """``save(folder, shapes=SHAPES, steps=(7,))``: checkpoints in ``folder``; the prefix of the last."""
    return _save


def _variables(shapes: dict[str, list[int]]) -> list[tf.Variable]:
    return [
        tf.get_variable(name, shape, initializer=tf.constant_initializer(index))
        for index, (name, shape) in enumerate(shapes.items())
    ]


def _save(folder: Path, shapes: dict[str, list[int]] = SHAPES, steps: Sequence[int] = (7,)) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        _variables(shapes)
        step = tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(max_to_keep=None)
        for number in steps:
            session.run(step.assign(number))
            prefix = saver.save(session, str(folder / "model.ckpt"), global_step=number)
    return prefix
