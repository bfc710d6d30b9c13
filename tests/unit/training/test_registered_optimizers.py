"""A registered optimizer in the training graph, with all that happens between gradients and updates."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from deployment.devices import DeploymentConfig
from slim_train import register_optimizer
from slim_train.errors import UsageError
from slim_train.tf_compat import tf
from slim_train.training.job_graph import build_graph

HEAD = "LeNet/fc4/weights"


@register_optimizer("own_descent")
def own_descent(learning_rate: Any) -> Any:
    return tf.train.GradientDescentOptimizer(learning_rate)


@register_optimizer("own_decay")
def own_decay(learning_rate: Any, options: Any, weight_decay: float) -> Any:
    return tf.train.MomentumOptimizer(learning_rate, options.momentum)


class Unfinished(tf.train.Optimizer):
    """An optimizer that cannot update anything."""

    def __init__(self, learning_rate: Any) -> None:
        super().__init__(use_locking=False, name="Unfinished")


def steps(job: Any, count: int = 2) -> dict[str, np.ndarray]:
    """The variables of the net after some steps."""
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        graph = build_graph(job)
        with tf.train.MonitoredSession() as session:
            for _ in range(count):
                if graph.accumulate_op is not None:
                    session.run(graph.accumulate_op)
                session.run(graph.train_op)
            return session.run({variable.op.name: variable for variable in graph.model_variables})


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"num_clones": 2, "use_synthetic_data": True},  # else it is chance which clone takes which batch
        {"gradient_accumulation_steps": 2},
        {"learning_rate_multipliers": "auto:10"},
        {"gradient_clip_norm": 0.1},
        {"moving_average_decay": 0.9},
        {"loss": "focal"},
    ],
    ids=str,
)
@pytest.mark.slow
def test_it_makes_the_steps_of_slim_trains_optimizer_with_every_flag(make_job: Any, flags: dict[str, Any]) -> None:
    settings = {"learning_rate": 0.01, "seed": 1, **flags}
    own, same = (steps(make_job(optimizer=name, **settings)) for name in ("own_descent", "sgd"))
    for name, value in own.items():
        np.testing.assert_allclose(value, same[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_its_loss_can_be_scaled(make_job: Any) -> None:
    settings = {"learning_rate": 0.01, "seed": 1}
    jobs = (
        dataclasses.replace(make_job(optimizer=name, **settings), precision="fp16") for name in ("own_descent", "sgd")
    )
    own, same = map(steps, jobs)
    for name, value in own.items():
        np.testing.assert_allclose(value, same[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("name", "has_penalty"), [("own_descent", True), ("own_decay", False), ("adamw", False)])
def test_weights_have_no_l2_penalty_if_the_optimizer_takes_weight_decay(
    make_job: Any, name: str, has_penalty: bool
) -> None:
    with tf.Graph().as_default():
        build_graph(make_job(optimizer=name, weight_decay=0.01))
        assert bool(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == has_penalty


def test_synchronous_replicas_take_it(make_job: Any) -> None:
    job = make_job(optimizer="own_decay")
    deployment = DeploymentConfig(num_clones=2, clone_on_cpu=True, num_replicas=2, num_ps_tasks=2)
    schedule = dataclasses.replace(job.schedule, num_replicas=2, replicas_to_aggregate=2, sync_replicas=True)
    job = dataclasses.replace(job, deployment=deployment, schedule=schedule)
    with tf.Graph().as_default():
        graph = build_graph(job)
        assert isinstance(graph.synchronizer, tf.train.SyncReplicasOptimizer)
        slots = [variable for variable in tf.global_variables() if variable.op.name.endswith("Momentum")]
    assert len(slots) == len(graph.trained)
    assert all("/job:ps" in slot.device for slot in slots)


def test_one_that_does_not_update_is_named(make_job: Any) -> None:
    register_optimizer("unfinished", Unfinished)
    with tf.Graph().as_default(), pytest.raises(UsageError, match="'unfinished' .* failed. NotImplementedError in _"):
        build_graph(make_job(optimizer="unfinished"))


def test_one_optimizer_for_several_rates_is_refused(make_job: Any) -> None:
    made: list[Any] = []

    def make(learning_rate: Any) -> Any:
        made.append(tf.train.GradientDescentOptimizer(learning_rate))
        return made[0]

    register_optimizer("kept", make)
    with tf.Graph().as_default(), pytest.raises(UsageError, match="made new for each rate"):
        build_graph(make_job(optimizer="kept", learning_rate_multipliers="auto:10"))
