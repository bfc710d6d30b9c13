"""Training as a function: called again and again in one process, from threads, with hooks and callbacks."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

import pytest

from slim_train import config
from slim_train.errors import UsageError
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


@pytest.mark.slow
def test_a_run_that_is_over_returns_its_result_again(shapes_dir, tmp_path):
    first = train.run(_options(shapes_dir, tmp_path))
    again = train.run(_options(shapes_dir, tmp_path))
    assert (again.global_step, again.checkpoint, again.history) == (20, first.checkpoint, first.history)


@pytest.mark.slow
def test_hooks_of_the_caller_run_in_each_step(shapes_dir, tmp_path):
    class Count(tf.train.SessionRunHook):
        steps = 0

        def after_run(self, run_context, run_values):
            self.steps += 1

    count = Count()
    train.run(_options(shapes_dir, tmp_path), hooks=[count])
    assert count.steps == 20


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_run_that_is_over_is_not_taken_for_that_of_another_net(shapes_dir, tmp_path):
    train.run(_options(shapes_dir, tmp_path))
    with pytest.raises(UsageError, match="has ended.*--model_name=lenet"):
        train.run(_options(shapes_dir, tmp_path, model_name="cifarnet", train_image_size=28))


@pytest.mark.slow
def test_starting_over_does_not_move_away_what_it_starts_from(shapes_dir, tmp_path):
    first = train.run(_options(shapes_dir, tmp_path))
    with pytest.raises(UsageError, match="--restart puts the checkpoints"):
        train.run(_options(shapes_dir, tmp_path, restart=True, checkpoint_path=str(tmp_path)))
    assert Path(f"{first.checkpoint}.index").is_file()


@pytest.mark.slow
def test_each_run_in_a_folder_has_an_event_file_of_its_own(shapes_dir, tmp_path):
    train.run(_options(shapes_dir, tmp_path))
    before = {path.name: path.stat().st_size for path in tmp_path.glob("events.*")}
    train.run(_options(shapes_dir, tmp_path, restart=True))
    assert {path.name: path.stat().st_size for path in (tmp_path / "previous-1").glob("events.*")} == before
    assert list(tmp_path.glob("events.*"))


@pytest.mark.slow
def test_a_failure_between_profiled_steps_leaves_the_profiler_off(shapes_dir, tmp_path):
    def fail(_evaluated):
        raise ZeroDivisionError

    flags = {"profile_steps": "2,18", "eval_split_name": "test", "eval_every_n_steps": 5}
    with pytest.raises(ZeroDivisionError):
        train.run(_options(shapes_dir, tmp_path / "failed", **flags), on_evaluation=[fail])
    assert train.run(_options(shapes_dir, tmp_path / "next", **flags)).global_step == 20


@pytest.mark.slow
def test_a_run_that_stopped_early_stays_stopped(shapes_dir, tmp_path):
    flags = {
        "learning_rate": 0.0, "max_number_of_steps": 100, "eval_split_name": "test", "eval_every_n_steps": 5,
        "early_stopping_patience": 2,
    }  # fmt: skip
    first = train.run(_options(shapes_dir, tmp_path, **flags))
    again = train.run(_options(shapes_dir, tmp_path, **flags))
    assert (first.global_step, again.global_step) == (15, 15)


def test_stopping_early_needs_a_split_to_evaluate(shapes_dir, tmp_path):
    with pytest.raises(UsageError, match="--early_stopping_patience=2 needs evaluations"):
        train.run(_options(shapes_dir, tmp_path, early_stopping_patience=2))


def test_what_is_no_hook_is_refused_before_any_work(shapes_dir, tmp_path):
    with pytest.raises(UsageError, match="hooks takes .*, not object"):
        train.run(_options(shapes_dir, tmp_path), hooks=[object()])
    assert not list(tmp_path.iterdir())
