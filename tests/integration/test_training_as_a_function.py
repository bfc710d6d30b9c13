"""Training as a function: called again and again in one process, from threads, with hooks and callbacks."""

from __future__ import annotations

import logging
import signal
import threading

import pytest

from slim_train import config
from slim_train.tf_compat import tf
from slim_train.training import train
from slim_train.training_options import TrainOptions


def _options(dataset_dir, train_dir, **values):
    flags = {
        "dataset_dir": str(dataset_dir), "train_dir": str(train_dir), "model_name": "lenet", "batch_size": 16,
        "optimizer": "momentum", "learning_rate": 0.001, "clone_on_cpu": True, "max_number_of_steps": 20,
        "log_every_n_steps": 5, **values,
    }  # fmt: skip
    return config.with_values(TrainOptions(), flags)


def test_the_result_tells_what_was_logged_evaluated_and_written(shapes_dir, tmp_path):
    options = _options(shapes_dir, tmp_path, eval_split_name="test", eval_every_n_steps=10)
    evaluated = []
    result = train.run(options, on_evaluation=[evaluated.append])
    assert (result.folder, result.global_step, result.last_step) == (tmp_path, 20, 20)
    assert [line["step"] for line in result.history if "loss" in line] == [5, 10, 15, 20]
    assert [line["step"] for line in result.evaluations] == [10, 20]
    assert [evaluation.step for evaluation in evaluated] == [10, 20]
    assert evaluated[0].is_best
    assert evaluated[-1].metrics["accuracy"] == result.evaluations[-1]["eval_accuracy"]
    assert result.best_accuracy == max(evaluation.metrics["accuracy"] for evaluation in evaluated)
    assert set(result.files) >= {"config", "metrics", "result"}
    assert all(path.is_file() for path in result.files.values())


def test_a_run_that_is_over_returns_its_result_again(shapes_dir, tmp_path):
    first = train.run(_options(shapes_dir, tmp_path))
    again = train.run(_options(shapes_dir, tmp_path))
    assert (again.global_step, again.checkpoint, again.history) == (20, first.checkpoint, first.history)


def test_hooks_of_the_caller_run_in_each_step(shapes_dir, tmp_path):
    class Count(tf.train.SessionRunHook):
        steps = 0

        def after_run(self, run_context, run_values):
            self.steps += 1

    count = Count()
    train.run(_options(shapes_dir, tmp_path), hooks=[count])
    assert count.steps == 20


def test_training_in_a_thread_needs_no_signals(shapes_dir, tmp_path):
    results = []
    thread = threading.Thread(target=lambda: results.append(train.run(_options(shapes_dir, tmp_path))))
    thread.start()
    thread.join()
    assert results[0].global_step == 20


@pytest.mark.parametrize("fails", [False, True])
def test_training_leaves_the_process_as_it_was(shapes_dir, tmp_path, fails):
    root = logging.getLogger()
    graph, handlers = tf.get_default_graph(), [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    formatters = [(handler, handler.formatter) for handler in root.handlers]
    threads = threading.active_count()
    if fails:

        class Fail(tf.train.SessionRunHook):
            def after_run(self, run_context, run_values):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            train.run(_options(shapes_dir, tmp_path, eval_split_name="test"), hooks=[Fail()])
    else:
        train.run(_options(shapes_dir, tmp_path, seed=3))
    assert tf.get_default_graph() is graph
    assert graph.seed is None
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert [(handler, handler.formatter) for handler in root.handlers] == formatters
    assert threading.active_count() <= threads + 1  # TensorBoard's writer stays until it is collected
