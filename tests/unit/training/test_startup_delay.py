"""When asynchronous workers join."""

from __future__ import annotations

import logging

import pytest

from deployment import servers
from slim_train.optim.schedule import Schedule
from slim_train.training.startup_delay import joining_step, wait_for_step


def _schedule(num_replicas=3, **kwargs):
    return Schedule(num_samples=1000, batch_size=10, num_replicas=num_replicas, **kwargs)


@pytest.mark.parametrize(
    ("worker", "delay_steps", "schedule", "step"),
    [
        (0, 50, _schedule(), 0),  # the chief
        (1, 50, _schedule(), 50),
        (2, 50, _schedule(), 100),
        (2, 0, _schedule(), 0),  # switched off
        (2, 50, _schedule(max_number_of_steps=100), 24),  # a quarter of a short training, in two equal parts
        (1, 50, _schedule(max_number_of_steps=3), 0),
        (1, 50, _schedule(num_replicas=1), 0),
        (2, 50, _schedule(sync_replicas=True, replicas_to_aggregate=3), 0),
    ],
)
def test_workers_join_one_after_the_other_in_the_first_quarter(worker, delay_steps, schedule, step):
    assert joining_step(worker, delay_steps, schedule) == step


def test_a_worker_waits_for_its_step_and_says_so_once(caplog):
    steps = iter([0, 3, 20, 60])
    with caplog.at_level(logging.INFO):
        wait_for_step(50, lambda: next(steps))
    assert [record.message for record in caplog.records] == [
        "The job is at step 0; this worker joins at step 50 (--startup_delay_steps)."
    ]
    assert next(steps, None) is None


def test_a_worker_of_a_job_that_is_further_does_not_wait(caplog):
    with caplog.at_level(logging.INFO):
        wait_for_step(50, lambda: 50)
    assert not caplog.records


def test_a_worker_does_not_wait_for_a_job_that_ends_before_its_step():
    steps = iter([0, 20, None])
    wait_for_step(50, lambda: next(steps))


def test_a_worker_that_is_stopped_while_it_waits_is_interrupted():
    with pytest.raises(servers.Interrupted):
        wait_for_step(50, lambda: 0, is_interrupted=lambda: True)


def test_a_job_that_stands_still_is_given_up():
    with pytest.raises(servers.LostTaskError, match="continue from step 7: this worker joins at step 50"):
        wait_for_step(50, lambda: 7, limit_secs=0.2)
