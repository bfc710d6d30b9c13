"""Restoring the variables of a net."""

from __future__ import annotations

import pytest

from slim_train.errors import RunError
from slim_train.inference.variables import VariableRestorer
from slim_train.model.spec import ModelSpec
from slim_train.nets.factory import get_record
from slim_train.preprocessing.factory import get_recipe
from slim_train.tf_compat import slim, tf

SPEC = ModelSpec(get_record("lenet"), 2, 0, 28, 1, get_recipe("lenet"))


def _save(folder, values):
    with tf.Graph().as_default(), tf.Session() as session:
        variables = {name: tf.Variable(value, name="v") for name, value in values.items()}
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(variables).save(session, str(folder / "model.ckpt"), write_meta_graph=False)


def _restored(checkpoint, use_averages=None):
    with tf.Graph().as_default(), tf.Session() as session:
        for name in ("a", "b"):
            slim.model_variable(name, [2], initializer=tf.zeros_initializer())
        variables = slim.get_model_variables()
        VariableRestorer(SPEC, use_averages).restore(session, checkpoint)
        return {variable.op.name: session.run(variable).tolist() for variable in variables}


@pytest.fixture
def averaged(tmp_path):
    """Variables a and b, and an average of a alone."""
    return _save(tmp_path, {"a": [1.0, 1.0], "a/ExponentialMovingAverage": [5.0, 5.0], "b": [2.0, 2.0]})


def test_averages_that_are_there_are_taken_unless_told_otherwise(averaged):
    assert _restored(averaged) == {"a": [5.0, 5.0], "b": [2.0, 2.0]}
    assert _restored(averaged, use_averages=False) == {"a": [1.0, 1.0], "b": [2.0, 2.0]}


def test_averages_that_are_asked_for_must_be_there_for_all_variables(averaged):
    with pytest.raises(RunError, match="b/ExponentialMovingAverage is not in it"):
        _restored(averaged, use_averages=True)


def test_a_variable_of_another_shape_is_named(tmp_path):
    checkpoint = _save(tmp_path, {"a": [1.0, 1.0], "b": [2.0, 2.0, 2.0]})
    with pytest.raises(RunError, match=r"does not fit lenet with 2 classes: b has shape \[3\] there"):
        _restored(checkpoint)


def test_restoring_again_adds_nothing_to_the_graph(averaged):
    with tf.Graph().as_default() as graph, tf.Session() as session:
        for name in ("a", "b"):
            slim.model_variable(name, [2], initializer=tf.zeros_initializer())
        restorer = VariableRestorer(SPEC)
        restorer.restore(session, averaged)
        size = len(graph.get_operations())
        restorer.restore(session, averaged)
        assert len(graph.get_operations()) == size
