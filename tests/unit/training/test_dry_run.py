from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from deployment.model_deploy import DeploymentConfig
from deployment.partitions import stored_name, stored_shape
from slim_train.model.spec import ModelSpec
from slim_train.nets import factory as nets
from slim_train.optim.schedule import Schedule
from slim_train.preprocessing.factory import get_recipe
from slim_train.tf_compat import tf
from slim_train.training import dry_run
from slim_train.training.graph import TrainingGraph, build_training_graph
from slim_train.training_options import ClusterOptions, ModelOptions, OptimizerOptions

SCHEDULE = Schedule(num_samples=100, batch_size=2, num_epochs_per_decay=2.0)


def spec(net: str) -> ModelSpec:
    record = nets.get_record(net)
    return ModelSpec(record, 1000, 0, record.default_image_size, record.channels, get_recipe(record.preprocessing))


def on_servers(num_ps_tasks: int, partition_min_bytes: int) -> DeploymentConfig:
    return DeploymentConfig(
        clone_on_cpu=True, num_ps_tasks=num_ps_tasks, partition_min_bytes=partition_min_bytes, num_replicas=2
    )


def build(net: str, deployment: DeploymentConfig, optimizer: OptimizerOptions) -> TrainingGraph:
    """The graph of a training step, in the default graph."""
    model = spec(net)
    image_shape = [2, model.image_size, model.image_size, model.channels]
    return build_training_graph(
        model,
        ModelOptions(),
        optimizer,
        SCHEDULE,
        deployment,
        lambda: {"image": tf.zeros(image_shape), "label": tf.zeros([2], tf.int64)},
    )


def others_than(model_variables: Sequence[Any]) -> list[Any]:
    names = {variable.op.name for variable in model_variables}
    return [variable for variable in tf.global_variables() if variable.op.name not in names]


def fullest_of_mean(numbers: Sequence[int]) -> float:
    return max(numbers) / (sum(numbers) / len(numbers))


def test_the_fullest_of_four_servers_holds_at_most_a_tenth_more_of_vgg_19_than_the_mean() -> None:
    deployment = on_servers(4, ClusterOptions().partition_min_bytes)
    with tf.Graph().as_default():
        graph = build("vgg_19", deployment, OptimizerOptions(optimizer="momentum"))
        loads = dry_run.server_loads(deployment.ps_devices, graph.model_variables, others_than(graph.model_variables))
    assert fullest_of_mean([load.variable_bytes for load in loads]) <= 1.1
    assert fullest_of_mean([load.bytes for load in loads]) <= 1.1
    # 143,667,240 parameters of the paper's net, all of them on the servers, and a slot for each.
    assert sum(load.variable_bytes for load in loads) == 143_667_240 * 4
    assert sum(load.optimizer_bytes for load in loads) == 143_667_240 * 4 + 8


def test_dealt_out_by_turn_or_whole_one_server_would_hold_most_of_vgg_19() -> None:
    deployment = on_servers(4, partition_min_bytes=0)
    with tf.Graph().as_default():
        graph = build("vgg_19", deployment, OptimizerOptions(optimizer="sgd"))
        loads = dry_run.server_loads(deployment.ps_devices, graph.model_variables, [])
        sizes = [dry_run.num_bytes([variable]) for variable in graph.model_variables]
    assert fullest_of_mean([sum(sizes[server::4]) for server in range(4)]) > 3
    assert fullest_of_mean([load.variable_bytes for load in loads]) > 2.9


@pytest.mark.parametrize(
    ("optimizer", "num_slots"),
    [
        ("adadelta", 2),
        ("adagrad", 1),
        ("adam", 2),
        ("adamw", 2),
        ("ftrl", 2),
        ("momentum", 1),
        ("rmsprop", 2),
        ("sgd", 0),
    ],
)
@pytest.mark.slow
def test_slots_and_averages_sit_with_their_variable_or_their_part(optimizer: str, num_slots: int) -> None:
    with tf.Graph().as_default():
        graph = build(
            "lenet",
            on_servers(3, partition_min_bytes=100_000),
            OptimizerOptions(optimizer=optimizer, moving_average_decay=0.9),
        )
        others = others_than(graph.model_variables)
        assert all(variable.device.startswith("/job:ps/task:") for variable in tf.global_variables())
    assert len({variable.device for variable in graph.trained}) == 3
    for variable in graph.trained:
        beside = [other for other in others if other.op.name.startswith(f"{variable.op.name}/")]
        assert len(beside) == num_slots + 1
        for other in beside:
            assert other.device == variable.device
            assert other.shape == variable.shape
            assert stored_name(other) == other.op.name.replace(variable.op.name, stored_name(variable))
            assert stored_shape(other) == stored_shape(variable)


def shown(graph: TrainingGraph, deployment: DeploymentConfig) -> str:
    screen = io.StringIO()
    dry_run.show(graph, None, None, spec("lenet"), SCHEDULE, deployment, Console(file=screen, width=160))
    return screen.getvalue()


def test_the_plan_shows_the_parts_of_a_variable_and_what_each_server_holds() -> None:
    deployment = on_servers(2, partition_min_bytes=1_000_000)
    with tf.Graph().as_default():
        screen = shown(build("lenet", deployment, OptimizerOptions(optimizer="momentum")), deployment)
    assert re.search(
        r"LeNet/conv2/weights +5x5x32x64 +204,800 +/job:ps/task:\d/device:CPU:0 +initial value +yes", screen
    )
    for number in (1, 2):
        assert re.search(rf"LeNet/fc3/weights, part {number} of 2 +1568x1024 +6,422,528 +/job:ps/task:", screen)
    # fc4 is cut, too: 1024 x 1000 numbers. Whole are two kernels and four biases.
    rows = re.findall(r"^/job:ps/task:(\d)/device:CPU:0 +(\d) +(\d) +([\d,]+) +([\d,]+) +(\S+)$", screen, re.MULTILINE)
    assert [row[0] for row in rows] == ["0", "1"]
    assert sum(int(row[1]) for row in rows) == 6
    assert [row[2] for row in rows] == ["2", "2"]
    variable_bytes, optimizer_bytes = (sum(int(row[column].replace(",", "")) for row in rows) for column in (3, 4))
    assert f"8 variables of the net, {variable_bytes:,} bytes; 8 trained, {variable_bytes:,} bytes" in screen
    # Momentum and the global step.
    assert optimizer_bytes == variable_bytes + 8
    assert sum(float(row[5]) for row in rows) == pytest.approx(2, abs=0.02)


def test_without_parameter_servers_the_plan_shows_none() -> None:
    deployment = DeploymentConfig(clone_on_cpu=True, partition_min_bytes=1)
    with tf.Graph().as_default():
        screen = shown(build("lenet", deployment, OptimizerOptions()), deployment)
    assert "LeNet/fc3/weights " in screen
    assert "parameter server" not in screen and "part 1" not in screen
