from __future__ import annotations

import dataclasses
import gc
import logging
from typing import Any

import pytest
import tensorflow.compat.v1 as tf

from deployment.devices import BalancedPlacement, DeploymentConfig, session_config


@pytest.mark.parametrize(
    ("config", "clones", "variables", "cpu"),
    [
        # One process. A single GPU holds the variables; several read them from the CPU.
        (DeploymentConfig(), ["/device:GPU:0"], "/device:GPU:0", "/device:CPU:0"),
        (DeploymentConfig(num_clones=2), ["/device:GPU:0", "/device:GPU:1"], "/device:CPU:0", "/device:CPU:0"),
        (DeploymentConfig(clone_on_cpu=True), ["/device:CPU:0"], "/device:CPU:0", "/device:CPU:0"),
        (
            DeploymentConfig(num_clones=3, clone_on_cpu=True),
            ["/device:CPU:0", "/device:CPU:0", "/device:CPU:0"],
            "/device:CPU:0",
            "/device:CPU:0",
        ),
        # CPU devices are dealt out in turn.
        (
            DeploymentConfig(num_clones=3, clone_on_cpu=True, num_cpu_devices=2),
            ["/device:CPU:0", "/device:CPU:1", "/device:CPU:0"],
            "/device:CPU:0",
            "/device:CPU:0",
        ),
        # All-reduce: every task holds all variables.
        (
            DeploymentConfig(replica_id=1, num_replicas=2),
            ["/job:worker/task:1/device:GPU:0"],
            "/job:worker/task:1/device:GPU:0",
            "/job:worker/task:1/device:CPU:0",
        ),
        (
            DeploymentConfig(num_clones=2, replica_id=1, num_replicas=2),
            ["/job:worker/task:1/device:GPU:0", "/job:worker/task:1/device:GPU:1"],
            "/job:worker/task:1/device:CPU:0",
            "/job:worker/task:1/device:CPU:0",
        ),
        # Parameter servers hold the variables: tested below.
        (
            DeploymentConfig(num_ps_tasks=1),
            ["/job:worker/task:0/device:GPU:0"],
            None,
            "/job:worker/task:0/device:CPU:0",
        ),
        (
            DeploymentConfig(num_clones=2, replica_id=3, num_replicas=4, num_ps_tasks=2, worker_job_name="trainer"),
            ["/job:trainer/task:3/device:GPU:0", "/job:trainer/task:3/device:GPU:1"],
            None,
            "/job:trainer/task:3/device:CPU:0",
        ),
    ],
)
def test_device_strings(config: DeploymentConfig, clones: list[str], variables: str | None, cpu: str) -> None:
    assert [config.clone_device(index) for index in range(config.num_clones)] == clones
    if variables is not None:
        assert config.variables_device() == variables
    assert config.inputs_device() == config.optimizer_device() == cpu
    assert config.caching_device() == (cpu if config.num_ps_tasks else None)


def test_one_clone_has_no_scope_and_several_have_one_each() -> None:
    assert DeploymentConfig().clone_scope(0) == ""
    assert [DeploymentConfig(num_clones=2).clone_scope(index) for index in range(2)] == ["clone_0", "clone_1"]


@pytest.mark.parametrize("index", [-1, 2])
def test_a_clone_that_is_not_there_is_refused(index: int) -> None:
    config = DeploymentConfig(num_clones=2)
    for method in (config.clone_device, config.clone_scope):
        with pytest.raises(ValueError, match=rf"clone_index must be in \[0, num_clones=2\), got {index}"):
            method(index)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_clones": 0}, "num_clones must be at least 1, got 0"),
        ({"num_replicas": 0}, "num_replicas must be at least 1, got 0"),
        ({"num_ps_tasks": -1}, "num_ps_tasks must be at least 0, got -1"),
        ({"num_cpu_devices": 0}, "num_cpu_devices must be at least 1, got 0"),
        ({"partition_min_bytes": -1}, "partition_min_bytes must be at least 0, got -1"),
        ({"replica_id": 2, "num_replicas": 2}, r"replica_id must be below num_replicas \(2\), got 2"),
        ({"replica_id": -1}, "replica_id must be at least 0, got -1"),
        ({"worker_job_name": ""}, "worker_job_name must not be empty"),
        ({"ps_job_name": "worker"}, "ps_job_name must differ from worker_job_name, both are 'worker'"),
    ],
)
def test_a_bad_value_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeploymentConfig(**values)


def test_the_config_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DeploymentConfig().num_clones = 2  # type: ignore[misc]


def test_without_a_gpu_clones_fall_back_to_the_cpu_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        config = DeploymentConfig(num_clones=2, num_cpu_devices=2).for_this_machine(num_gpus=0)
    assert [config.clone_device(index) for index in range(2)] == ["/device:CPU:0", "/device:CPU:1"]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "no GPU: all 2 clones run on the CPU" in record.getMessage()


def test_clones_meant_for_the_cpu_warn_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    config = DeploymentConfig(clone_on_cpu=True)
    assert config.for_this_machine(num_gpus=0) is config
    assert not caplog.records


def test_enough_gpus_leave_the_config_as_it_is() -> None:
    config = DeploymentConfig(num_clones=2)
    assert config.for_this_machine(num_gpus=2) is config


def test_more_clones_than_gpus_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_clones is 4.*TensorFlow finds 2.*set num_clones=2"):
        DeploymentConfig(num_clones=4).for_this_machine(num_gpus=2)


def place(device: Any, shapes: list[list[int]], dtype: Any = tf.float32) -> list[str]:
    """Devices of variables of these shapes, made in this order."""
    names = [variable.op.name for variable in tf.global_variables()]
    with tf.device(device):
        return [
            tf.get_variable(f"v{len(names)}_{index}", shape, dtype, initializer=tf.zeros_initializer()).device
            for index, shape in enumerate(shapes)
        ]


PS = "/job:ps/task:{}/device:CPU:0".format


def test_variables_go_to_the_server_with_the_fewest_bytes() -> None:
    device = DeploymentConfig(num_ps_tasks=2).variables_device()
    with tf.Graph().as_default() as graph:
        # 400 bytes go to server 0; the next five to server 1, until it holds more; then server 0 comes next again.
        assert place(device, [[100], [20], [20], [20], [20], [30], [1]]) == [PS(i) for i in (0, 1, 1, 1, 1, 1, 0)]
        assert device.loads(graph) == [404, 440]


def test_bytes_count_the_width_of_the_type() -> None:
    device = DeploymentConfig(num_ps_tasks=2).variables_device()
    with tf.Graph().as_default():
        assert place(device, [[10]], tf.int64) == [PS(0)]
        assert place(device, [[10], [10], [10]]) == [PS(1), PS(1), PS(0)]


def test_the_balance_covers_all_variables_of_a_graph_and_starts_afresh_in_the_next() -> None:
    config = DeploymentConfig(num_ps_tasks=2)
    for _ in range(2):
        with tf.Graph().as_default():
            assert place(config.variables_device(), [[10]]) == [PS(0)]
            assert place(config.variables_device(), [[10]]) == [PS(1)]


def test_all_workers_find_the_same_places() -> None:
    shapes = [[3, 3, 64], [64], [128, 64], [7], [64, 10], [10]]
    places = []
    for replica in range(3):
        config = DeploymentConfig(replica_id=replica, num_replicas=3, num_ps_tasks=3)
        with tf.Graph().as_default():
            places.append(place(config.variables_device(), shapes))
    assert places[0] == places[1] == places[2]


def test_reference_variables_are_placed_too() -> None:
    with tf.Graph().as_default(), tf.device(DeploymentConfig(num_ps_tasks=1).variables_device()):
        assert tf.get_variable("v", [1], use_resource=False).device == PS(0)


@pytest.mark.parametrize(
    ("num_ps_tasks", "partition_min_bytes", "num_parts"),
    [(0, 1, 1), (1, 1, 1), (2, 0, 1), (2, 41, 1), (2, 40, 2), (3, 40, 3)],
)
def test_large_variables_are_cut_where_there_are_several_servers(
    num_ps_tasks: int, partition_min_bytes: int, num_parts: int
) -> None:
    config = DeploymentConfig(num_ps_tasks=num_ps_tasks, partition_min_bytes=partition_min_bytes)
    with tf.Graph().as_default(), tf.variable_scope("", custom_getter=config.variable_getter()):
        with tf.device(config.variables_device()):
            tf.get_variable("v", [10])
        assert len({variable.device for variable in tf.global_variables()}) == num_parts


def test_optimizer_slots_sit_with_their_variable_and_do_not_count() -> None:
    config = DeploymentConfig(num_ps_tasks=2)
    with tf.Graph().as_default() as graph:
        with tf.device(config.variables_device()):
            big, small = tf.get_variable("big", [100]), tf.get_variable("small", [1])
        with tf.device(config.optimizer_device()):
            optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
            optimizer.minimize(tf.reduce_sum(big) + tf.reduce_sum(small))
        assert optimizer.get_slot(big, "momentum").device == big.device == PS(0)
        assert optimizer.get_slot(small, "momentum").device == small.device == PS(1)
        assert config.variables_device().loads(graph) == [400, 4]


def test_other_operations_stay_on_the_task() -> None:
    config = DeploymentConfig(replica_id=1, num_replicas=2, num_ps_tasks=1)
    with tf.Graph().as_default(), tf.device(config.variables_device()):
        assert tf.constant(1).device == "/job:worker/task:1/device:CPU:0"
        with tf.device(config.clone_device(0)):
            assert tf.constant(1).device == "/job:worker/task:1/device:GPU:0"


def test_placement_keeps_no_graph_alive() -> None:
    placement = BalancedPlacement(["/job:ps/task:0"], "")
    with tf.Graph().as_default() as graph:
        place(placement, [[1]])
    del graph
    gc.collect()
    assert not placement._loads


def test_the_session_config_fits_the_deployment() -> None:
    config = session_config(DeploymentConfig(num_clones=2, clone_on_cpu=True, num_cpu_devices=2), 3, 4)
    assert config.allow_soft_placement
    assert config.gpu_options.allow_growth
    assert dict(config.device_count) == {"CPU": 2, "GPU": 0}
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (3, 4)
    assert "GPU" not in session_config(DeploymentConfig()).device_count


def test_a_session_has_the_cpu_devices_that_clones_expect() -> None:
    with tf.Graph().as_default(), tf.Session(config=session_config(DeploymentConfig(num_cpu_devices=3))) as session:
        assert sum(device.device_type == "CPU" for device in session.list_devices()) == 3
