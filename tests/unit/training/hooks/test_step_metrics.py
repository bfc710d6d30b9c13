"""What each step says."""

from __future__ import annotations

import json
import math
import types

import pytest

from slim_train.checkpoints.metrics_file import MetricsFile
from slim_train.errors import RunError
from slim_train.tf_compat import tf
from slim_train.training.hooks.step_metrics import StepMetrics


def _graph(losses):
    """The tensors of a training graph whose losses are given, one a step."""
    global_step = tf.train.get_or_create_global_step()
    read_step = tf.identity(global_step.read_value())
    with tf.control_dependencies([read_step]):
        step = global_step.assign_add(2)  # another worker's update comes in between
    loss = tf.gather(tf.constant(losses), tf.cast(step, tf.int32) // 2 - 1)
    return types.SimpleNamespace(
        global_step=global_step, read_step=read_step, step=step, loss=loss, learning_rate=tf.constant(0.5)
    )


def _lines(tmp_path, losses, **kwargs):
    with tf.Graph().as_default():
        graph = _graph(losses)
        arguments = {"images_per_step": 4, "steps_per_epoch": 10.0, "every_n_steps": 4, "last_step": 2 * len(losses)}
        metrics = StepMetrics(graph, **arguments, metrics_file=MetricsFile(tmp_path), **kwargs)
        with tf.train.MonitoredSession(hooks=[metrics]) as session:
            for _ in losses:
                session.run(graph.step)
        metrics.close()
    assert metrics.own_steps == len(losses)
    return [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]


def test_a_line_is_written_at_multiples_and_at_the_last_step(tmp_path):
    lines = _lines(tmp_path, [5.0, 4.0, 3.0, 2.0, 1.0])
    assert [(line["step"], line["loss"], line["learning_rate"]) for line in lines] == [
        (4, 4.0, 0.5),
        (8, 2.0, 0.5),
        (10, 1.0, 0.5),
    ]
    assert all(line["images_per_second"] > 0 for line in lines)
    assert "staleness" not in lines[0]


def test_staleness_counts_the_updates_of_others_during_a_step(tmp_path):
    assert [line["staleness"] for line in _lines(tmp_path, [1.0] * 4, is_asynchronous=True)] == [1.0, 1.0]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_training_with_the_step(tmp_path, loss):
    with pytest.raises(RunError, match=r"at step 4: training has diverged"):
        _lines(tmp_path, [1.0, loss, 1.0])


def test_a_registered_loss_that_is_not_finite_is_named(tmp_path):
    with pytest.raises(RunError, match=r"The loss 'mine' is nan at step 2"):
        _lines(tmp_path, [math.nan, 1.0], loss_name="mine")
