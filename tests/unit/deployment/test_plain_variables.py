"""Variables that are made with tf.Variable, in clones."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from deployment import model_deploy
from deployment.plain_variables import PlainVariables


def _net() -> Any:
    with tf.name_scope("layer"):
        weights = tf.Variable(tf.ones([2, 3]))
    with tf.variable_scope("scoped"):
        bias = tf.Variable(tf.zeros([3]), name="bias")
        shared = tf.get_variable("shared", [3], initializer=tf.ones_initializer())
    return tf.reduce_sum(weights) + tf.reduce_sum(bias + shared)


def _names(num_clones: int) -> list[str]:
    with tf.Graph().as_default(), tf.Session() as session:
        clones = model_deploy.create_clones(model_deploy.DeploymentConfig(num_clones, clone_on_cpu=True), _net)
        session.run(tf.global_variables_initializer())
        assert session.run([clone.outputs for clone in clones]) == [9.0] * num_clones
        return [variable.op.name for variable in tf.trainable_variables()]


def test_clones_share_them_under_the_names_of_a_net_alone() -> None:
    assert _names(1) == _names(2) == ["layer/Variable", "scoped/bias", "scoped/shared"]


def test_a_clone_that_wants_more_makes_them_itself() -> None:
    variables = PlainVariables()
    with tf.Graph().as_default():
        for index in range(2):
            with tf.name_scope(f"clone_{index}") as scope, variables.of_clone(scope, is_first=index == 0):
                made = [tf.Variable(0.0) for _ in range(index + 1)]
        assert [variable.op.name for variable in made] == ["Variable", "Variable_1"]
