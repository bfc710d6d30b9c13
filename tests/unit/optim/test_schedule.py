from __future__ import annotations

import pytest

from slim_train.optim.schedule import Schedule


@pytest.mark.parametrize(
    ("clones", "replicas", "aggregated", "sync", "images_per_step", "decay_steps", "last_step"),
    [
        # 960 images in batches of 32; decay every 2 epochs, stop after 5
        (1, 1, 1, False, 32, 60, 150),
        (2, 1, 1, False, 64, 30, 75),  # clones share a step
        (1, 3, 1, False, 32, 60, 150),  # each asynchronous replica's step is a global step of its own
        (1, 3, 3, True, 96, 20, 50),  # synchronous replicas share one
        (1, 4, 3, True, 96, 20, 50),  # a backup worker's gradients are dropped
        (2, 3, 3, True, 192, 10, 25),
    ],
)
def test_steps_count_clones_and_synchronous_replicas(
    clones: int,
    replicas: int,
    aggregated: int,
    sync: bool,
    images_per_step: int,
    decay_steps: int,
    last_step: int,
) -> None:
    schedule = Schedule(
        num_samples=960,
        batch_size=32,
        num_clones=clones,
        num_replicas=replicas,
        replicas_to_aggregate=aggregated,
        sync_replicas=sync,
        num_epochs=5,
        num_epochs_per_decay=2.0,
    )
    assert schedule.images_per_step == images_per_step
    assert schedule.steps_per_epoch == 960 / images_per_step
    assert schedule.decay_steps == decay_steps
    assert schedule.last_step == last_step


@pytest.mark.parametrize(
    ("num_epochs", "max_number_of_steps", "last_step"),
    [
        (None, None, None),
        (None, 7, 7),
        (3, None, 30),
        (3, 7, 7),  # the earlier end counts
        (3, 50, 30),
        (None, 0, 0),
        (1.1, None, 11),  # and not 12, which 11.000000000000002 of binary fractions would give
        (1.11, None, 12),  # a part of a step is a step: every image of the epochs is seen
    ],
)
def test_training_ends_at_the_earlier_of_steps_and_epochs(
    num_epochs: float | None, max_number_of_steps: int | None, last_step: int | None
) -> None:
    schedule = Schedule(100, 10, num_epochs=num_epochs, max_number_of_steps=max_number_of_steps)
    assert schedule.last_step == last_step


@pytest.mark.parametrize(
    ("num_samples", "epochs", "decay_steps"),
    [
        (2312, 2.0, 144),  # 144.5, rounded down as research/slim does
        (2312, 0.7, 50),
        (10, 2.0, 1),  # never 0, by which a step would be divided
    ],
)
def test_decay_steps_are_whole_and_at_least_one(num_samples: int, epochs: float, decay_steps: int) -> None:
    assert Schedule(num_samples, 32, num_epochs_per_decay=epochs).decay_steps == decay_steps


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (
            Schedule(2312, 32, num_epochs_per_decay=2.0, num_epochs=5),
            "72.25 steps per epoch (2,312 images / 32), decays every 144 steps, stops at 362",
        ),
        (
            Schedule(
                128_000,
                32,
                num_clones=2,
                num_replicas=4,
                replicas_to_aggregate=4,
                sync_replicas=True,
                warmup_steps=1500,
            ),
            "500 steps per epoch (128,000 images / 32 x 2 clones x 4 replicas), warms up over 1,500 steps, "
            "does not stop by itself",
        ),
    ],
)
def test_a_schedule_describes_itself_in_a_line(schedule: Schedule, text: str) -> None:
    assert schedule.describe() == text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"num_samples": 0}, "num_samples must be at least 1, got 0"),
        ({"replicas_to_aggregate": 0}, "replicas_to_aggregate must be at least 1, got 0"),
        ({"num_epochs": 0}, "num_epochs must be above 0, got 0"),
        ({"max_number_of_steps": -1}, "max_number_of_steps must be at least 0, got -1"),
    ],
)
def test_a_number_out_of_range_is_named(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule(**{"num_samples": 100, "batch_size": 10, **values})
