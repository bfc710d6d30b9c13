"""The learning rate at each step."""

from __future__ import annotations

from typing import Any

import pytest

from slim_train.errors import UsageError
from slim_train.optim.learning_rate import build_learning_rate
from slim_train.optim.schedule import Schedule
from slim_train.tf_compat import tf
from slim_train.training_options import DECAY_TYPES, OptimizerOptions

SCHEDULE = Schedule(num_samples=100, batch_size=10, num_epochs=10, num_epochs_per_decay=2.0)


def rates(options: OptimizerOptions, schedule: Schedule, steps: list[int]) -> list[float]:
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = build_learning_rate(options, schedule, step)
        return [float(session.run(rate, {step: at})) for at in steps]


def unchecked(**values: Any) -> OptimizerOptions:
    """Options that did not pass the checks of the command line."""
    options = OptimizerOptions()
    for name, value in values.items():
        object.__setattr__(options, name, value)
    return options


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


def test_an_unknown_decay_names_the_nearest_first() -> None:
    with pytest.raises(UsageError, match=r"'exponental'. Did you mean exponential.*Valid: cosine, exponential, fixed"):
        rates(unchecked(learning_rate_decay_type="exponental"), SCHEDULE, [0])
