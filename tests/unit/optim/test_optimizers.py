from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.optim import optimizers
from slim_train.optim.adamw import AdamW
from slim_train.optim.clipping import clip_by_global_norm
from slim_train.optim.learning_rate import build_learning_rate
from slim_train.optim.schedule import Schedule
from slim_train.tf_compat import tf
from slim_train.training_options import DECAY_TYPES, OPTIMIZERS, OptimizerOptions


def rates(options: OptimizerOptions, schedule: Schedule, steps: list[int]) -> list[float]:
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = build_learning_rate(options, schedule, step)
        return [float(session.run(rate, {step: at})) for at in steps]


# 10 steps per epoch, decay every 2 epochs, the end after 10 epochs.
SCHEDULE = Schedule(num_samples=100, batch_size=10, num_epochs=10, num_epochs_per_decay=2.0)


@pytest.mark.parametrize(
    ("decay_type", "warmup_steps", "table"),
    [
        ("fixed", 0, {0: 0.8, 1000: 0.8}),
        ("fixed", 4, {0: 0.2, 1: 0.4, 3: 0.8, 4: 0.8}),
        # by half every 20 steps, and between them not at all
        ("exponential", 0, {0: 0.8, 19: 0.8, 20: 0.4, 39: 0.4, 40: 0.2}),
        ("exponential", 30, {0: 0.8 / 30, 19: 0.8 * 20 / 30, 20: 0.4 * 21 / 30, 29: 0.4, 40: 0.2}),
        # a line over 20 steps, then flat
        ("polynomial", 0, {0: 0.8, 5: 0.625, 10: 0.45, 20: 0.1, 90: 0.1}),
        # half a wave over 100 steps, then flat
        ("cosine", 0, {0: 0.8, 50: 0.45, 100: 0.1, 120: 0.1}),
        ("cosine", 20, {0: 0.04, 10: 0.44, 19: 0.8, 20: 0.8, 60: 0.45, 100: 0.1}),
    ],
)
def test_the_learning_rate_follows_its_table(decay_type: str, warmup_steps: int, table: dict[int, float]) -> None:
    options = OptimizerOptions(
        learning_rate=0.8,
        end_learning_rate=0.1,
        learning_rate_decay_type=decay_type,
        learning_rate_decay_factor=0.5,
        warmup_steps=warmup_steps,
    )
    assert rates(options, SCHEDULE, list(table)) == pytest.approx(list(table.values()), rel=1e-5)


@pytest.mark.parametrize("decay_type", ["exponential", "polynomial"])
def test_decays_equal_those_of_tensorflow(decay_type: str) -> None:
    options = OptimizerOptions(learning_rate_decay_type=decay_type)
    steps = [0, 1, 19, 20, 57, 200]
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        if decay_type == "exponential":
            theirs = tf.train.exponential_decay(0.01, step, 20, 0.94, staircase=True)
        else:
            theirs = tf.train.polynomial_decay(0.01, step, 20, 0.0001)
        expected = [session.run(theirs, {step: at}) for at in steps]
    assert rates(options, SCHEDULE, steps) == pytest.approx(expected, rel=1e-5)


def test_the_staircase_falls_on_its_step_even_late_in_training() -> None:
    options = OptimizerOptions(learning_rate=1.0, learning_rate_decay_factor=0.999)
    schedule = Schedule(num_samples=2310, batch_size=10, num_epochs_per_decay=1.0)
    before, at = rates(options, schedule, [231 * 4329 - 1, 231 * 4329])
    assert at / before == pytest.approx(0.999, rel=1e-5)


def test_cosine_needs_an_end() -> None:
    with pytest.raises(UsageError, match="--max_number_of_steps or --num_epochs"):
        rates(OptimizerOptions(learning_rate_decay_type="cosine"), Schedule(100, 10), [0])


def test_every_choice_of_decay_is_built() -> None:
    for decay_type in DECAY_TYPES:
        assert rates(OptimizerOptions(learning_rate_decay_type=decay_type), SCHEDULE, [0]) == pytest.approx([0.01])


def unchecked(**values: Any) -> OptimizerOptions:
    """Options that did not pass the checks of the command line."""
    options = OptimizerOptions()
    for name, value in values.items():
        object.__setattr__(options, name, value)
    return options


def test_an_unknown_decay_names_the_nearest_first() -> None:
    with pytest.raises(UsageError, match=r"'exponental'. Did you mean exponential.*Valid: cosine, exponential, fixed"):
        rates(unchecked(learning_rate_decay_type="exponental"), SCHEDULE, [0])


def test_an_unknown_optimizer_names_the_nearest_first() -> None:
    with pytest.raises(UsageError, match=r"'adamm'. Did you mean adam.*Valid: adadelta, adagrad, adam"):
        optimizers.build_optimizer(unchecked(optimizer="adamm"), 0.1)


class Quadratic:
    """A graph that minimizes ``sum(weights**2) + sum(biases**2)`` from 3."""

    def __init__(self, optimizer: Any) -> None:
        self.weights = tf.get_variable("weights", [2, 3], initializer=tf.constant_initializer(3.0))
        self.biases = tf.get_variable("biases", [3], initializer=tf.constant_initializer(3.0))
        self.loss = tf.reduce_sum(self.weights**2) + tf.reduce_sum(self.biases**2)
        self.train_op = optimizer.minimize(self.loss)

    def after(self, steps: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Weights, biases and loss."""
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for _ in range(steps):
                session.run(self.train_op)
            return session.run((self.weights, self.biases, self.loss))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_descends(name: str) -> None:
    with tf.Graph().as_default():
        quadratic = Quadratic(optimizers.build_optimizer(OptimizerOptions(optimizer=name), 0.01))
        losses = [quadratic.after(steps)[2] for steps in (0, 1, 5)]
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize(
    ("name", "after_one_step"),
    [
        # from 3, where the gradient is 6, with learning rate 0.1 and research/slim's other defaults
        ("sgd", 3 - 0.1 * 6),
        ("momentum", 3 - 0.1 * 6),
        ("adagrad", 3 - 0.1 * 6 / np.sqrt(0.1 + 36)),
        ("rmsprop", 3 - 0.1 * 6 / np.sqrt(0.9 * 1 + 0.1 * 36 + 1)),
        ("adam", 3 - 0.1 * np.sqrt(1 - 0.999) / (1 - 0.9) * 0.6 / (np.sqrt(0.036) + 1)),
    ],
)
def test_the_defaults_are_those_of_research_slim(name: str, after_one_step: float) -> None:
    with tf.Graph().as_default():
        weights, _, _ = Quadratic(optimizers.build_optimizer(OptimizerOptions(optimizer=name), 0.1)).after(1)
    assert weights == pytest.approx(np.full((2, 3), after_one_step), rel=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "changed"),
    [
        ("adadelta", {"adadelta_rho": 0.5}),
        ("adadelta", {"opt_epsilon": 0.1}),
        ("adagrad", {"adagrad_initial_accumulator_value": 9.0}),
        ("adam", {"adam_beta1": 0.5}),
        ("adam", {"adam_beta2": 0.5}),
        ("adam", {"opt_epsilon": 0.1}),
        ("adamw", {"adam_beta1": 0.5}),
        ("adamw", {"adam_beta2": 0.5}),
        ("adamw", {"opt_epsilon": 0.1}),
        ("ftrl", {"ftrl_learning_rate_power": -0.9}),
        ("ftrl", {"ftrl_initial_accumulator_value": 9.0}),
        ("ftrl", {"ftrl_l1": 1.0}),
        ("ftrl", {"ftrl_l2": 1.0}),
        ("momentum", {"momentum": 0.5}),
        ("rmsprop", {"rmsprop_momentum": 0.5}),
        ("rmsprop", {"rmsprop_decay": 0.5}),
        ("rmsprop", {"opt_epsilon": 0.1}),
    ],
)
def test_each_parameter_reaches_its_optimizer(optimizer: str, changed: dict[str, float]) -> None:
    options = OptimizerOptions(optimizer=optimizer)
    results = []
    for variant in (options, dataclasses.replace(options, **changed)):
        with tf.Graph().as_default():
            results.append(Quadratic(optimizers.build_optimizer(variant, 0.1)).after(2)[0][0, 0])
    assert results[0] != pytest.approx(results[1], rel=1e-6)


def test_adamw_without_decay_is_adam() -> None:
    results = []
    for name in ("adam", "adamw"):
        with tf.Graph().as_default():
            optimizer = optimizers.build_optimizer(OptimizerOptions(optimizer=name), 0.1, weight_decay=0.0)
            results.append(Quadratic(optimizer).after(5))
    np.testing.assert_array_equal(results[0][0], results[1][0])


def test_adamw_decays_weights_and_leaves_biases() -> None:
    with tf.Graph().as_default():
        plain = Quadratic(tf.train.AdamOptimizer(0.1)).after(1)
    with tf.Graph().as_default():
        decayed = Quadratic(AdamW(0.1, weight_decay=0.5)).after(1)
    # The Adam step is the same: the decay does not enter the gradient. The weights lose 0.1 * 0.5 of their 3 besides.
    np.testing.assert_allclose(decayed[0], plain[0] - 0.1 * 0.5 * 3, rtol=1e-6)
    np.testing.assert_array_equal(decayed[1], plain[1])


def test_adamw_follows_the_formula_over_many_steps() -> None:
    rate, decay, beta1, beta2, epsilon = 0.05, 0.3, 0.8, 0.9, 0.01
    weight, first, second = 3.0, 0.0, 0.0
    for step in range(1, 21):
        gradient = 2 * weight
        first, second = beta1 * first + (1 - beta1) * gradient, beta2 * second + (1 - beta2) * gradient**2
        # TensorFlow's Adam adds epsilon before it corrects the second moment ("epsilon hat" of Kingma & Ba).
        adam = np.sqrt(1 - beta2**step) / (1 - beta1**step) * first / (np.sqrt(second) + epsilon)
        weight -= rate * (adam + decay * weight)
    with tf.Graph().as_default():
        weights, _, _ = Quadratic(AdamW(rate, decay, beta1, beta2, epsilon)).after(20)
    np.testing.assert_allclose(weights, np.full((2, 3), weight), rtol=1e-4)


def test_adamw_decay_follows_the_learning_rate() -> None:
    with tf.Graph().as_default():
        weights, _, _ = Quadratic(AdamW(tf.constant(0.0), weight_decay=0.5)).after(3)
    np.testing.assert_array_equal(weights, np.full((2, 3), 3.0))


@pytest.mark.parametrize("use_resource", [True, False])
def test_adamw_decays_rows_without_a_sparse_gradient_too(use_resource: bool) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        table = tf.get_variable("table", [3, 2], initializer=tf.constant_initializer(1.0), use_resource=use_resource)
        row = tf.nn.embedding_lookup(table, [1])
        train_op = AdamW(0.1, weight_decay=0.5).minimize(tf.reduce_sum(row))
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        values = session.run(table)
    assert values[[0, 2]] == pytest.approx(np.full((2, 2), 0.95))
    assert values[1] == pytest.approx(0.95 - 0.1, rel=1e-3)


def test_adamw_decays_after_the_weights_were_read_however_late() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        weights = tf.get_variable("weights", [2, 2], initializer=tf.ones_initializer())
        work = tf.random_normal([500, 500])
        for _ in range(20):
            work = tf.matmul(work, work) * 0.01
        with tf.control_dependencies([work]):
            loss = tf.reduce_sum(weights.read_value() ** 2)
        train_op = AdamW(0.1, weight_decay=9.0).minimize(loss)
        session.run(tf.global_variables_initializer())
        assert session.run([loss, train_op])[0] == pytest.approx(4.0)


def test_gradients_are_scaled_to_the_global_norm_together() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        table = tf.get_variable("table", [3, 1])
        dense, sparse = (
            tf.constant([3.0]),
            tf.IndexedSlices(tf.constant([[4.0]]), tf.constant([1]), tf.constant([3, 1])),
        )
        clipped = clip_by_global_norm([(dense, table), (sparse, table)], 1.0)
        unclipped = clip_by_global_norm([(dense, table)], 10.0)
        assert session.run(clipped[0][0]) == pytest.approx(np.array([0.6]))
        assert session.run(clipped[1][0].values) == pytest.approx(np.array([[0.8]]))
        assert session.run(unclipped[0][0]) == pytest.approx(np.array([3.0]))
        assert clipped[0][1] is table
