"""All-reduce of a step, by a group of one."""

from __future__ import annotations

from types import SimpleNamespace

from slim_train.optim import all_reduce
from slim_train.optim.step import Step
from slim_train.tf_compat import tf


def test_the_step_of_all_takes_the_place_of_that_of_one_and_statistics_follow(monkeypatch):
    seen = []

    def synchronize(group, loss, gradients, update_ops, statistics):
        seen.append([variable.op.name for variable in statistics])
        mean = [(gradient / 2.0, variable) for gradient, variable in gradients]
        return SimpleNamespace(loss=loss / 2.0, gradients=mean, update_ops=update_ops)

    monkeypatch.setattr(all_reduce, "synchronize_step", synchronize)
    with tf.Graph().as_default(), tf.Session() as session:
        weight = tf.get_variable("weight", [])
        statistic = tf.get_variable("moving_mean", [], trainable=False)
        transform = all_reduce.AllReduce("group", [weight, statistic])
        step = transform(Step(tf.constant(4.0), ((tf.constant(6.0), weight),), (tf.no_op(),)))
        assert session.run([step.loss, step.gradients[0][0]]) == [2.0, 3.0]
        assert transform.synchronized.gradients[0][1] is weight
        transform(Step(tf.constant(4.0), ((tf.constant(6.0), weight),), ()))
    assert seen == [["moving_mean"], []]
