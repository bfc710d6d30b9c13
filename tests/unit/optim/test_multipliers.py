"""Learning rates by scope."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.optim import optimizers
from slim_train.optim.multipliers import MultipliedRates, multiplier_of_each, parse_multipliers
from slim_train.tf_compat import tf
from slim_train.training_options import OPTIMIZERS, OptimizerOptions

NAMES = ("net/trunk/weights", "net/trunk/block/weights", "net/head/weights", "net/header/weights")


@pytest.mark.parametrize(
    ("text", "multipliers"),
    [
        (None, {}),
        ("a:0.1", {"a": 0.1}),
        (" a/b/ : 10 , c:0", {"a/b": 10.0, "c": 0.0}),
        ("a:0.1,auto:2", {"a": 0.1, "net/head": 2.0, "net/aux": 2.0}),
    ],
)
def test_multipliers_are_read_from_text(text: str | None, multipliers: dict[str, float]) -> None:
    assert parse_multipliers(text, ("net/head", "net/aux")) == multipliers


@pytest.mark.parametrize("text", ["a", "a:", ":1", "a:x", "a:-1", "a:inf", "a:nan", "a:1,a:2"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--learning_rate_multipliers"):
        parse_multipliers(text)


def make_variables() -> list[tf.Variable]:
    return [tf.get_variable(name, [3], initializer=tf.ones_initializer()) for name in NAMES]


def test_the_innermost_scope_counts_and_scopes_end_at_a_slash() -> None:
    with tf.Graph().as_default():
        found = multiplier_of_each(make_variables(), {"net/trunk": 0.1, "net/trunk/block": 0.5, "net/head": 10.0})
    assert found == dict(zip(NAMES, (0.1, 0.5, 10.0, 1.0), strict=True))


def test_a_scope_without_variables_is_refused() -> None:
    with tf.Graph().as_default(), pytest.raises(UsageError, match="no variable lies in scope 'net/heads'. Did you"):
        multiplier_of_each(make_variables(), {"net/heads": 2.0})


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_variable_is_trained_as_by_an_optimizer_of_its_own_rate(name: str) -> None:
    options = OptimizerOptions(optimizer=name, opt_epsilon=1e-3)
    multipliers = dict(zip(NAMES, (0.1, 0.5, 10.0, 1.0), strict=True))

    def trained(multiplied: bool, rate: float) -> list[np.ndarray]:
        with tf.Graph().as_default(), tf.Session() as session:
            variables = make_variables()
            loss = tf.add_n([tf.reduce_sum(tf.square(variable) * [1.0, 2.0, 3.0]) for variable in variables])

            def make(multiplier: float) -> tf.train.Optimizer:
                return optimizers.build_optimizer(options, tf.constant(rate) * multiplier, 0.01)

            optimizer = MultipliedRates(make, multipliers) if multiplied else make(1.0)
            step = tf.train.get_or_create_global_step()
            train_op = optimizer.minimize(loss, global_step=step)
            session.run(tf.global_variables_initializer())
            for _ in range(3):
                session.run(train_op)
            assert session.run(step) == 3
            return session.run(variables)

    ours = trained(True, 0.01)
    for index, multiplier in enumerate(multipliers.values()):
        np.testing.assert_allclose(ours[index], trained(False, 0.01 * multiplier)[index], rtol=1e-5)
